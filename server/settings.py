"""The server's settings: their names, the values that are allowed, and what must fit together.

Everything that can grow has its limit under `[limits]`.
"""

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from models.bundle.manifest import Name
from models.settings import Count, Seconds, Section
from serving.log import Level
from serving.proof.settings import Proof
from serving.registry.settings import Registry
from serving.runtime.settings import Inference
from serving.updates.settings import Updates

Bytes = Annotated[int, Field(ge=1024, le=1 << 31)]
"""A size in bytes, from 1 KiB to 2 GiB."""
Seq = Annotated[int, Field(ge=1, le=2**53 - 1)]


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Server(Section):
    """Where the server listens, and the folder that must survive a restart.

    Attributes:
        host: address to listen on. Only this machine itself can be named (127.0.0.1, ::1 or
            localhost): whoever reaches the port may ask for predictions.
        port: TCP port to listen on; 0 lets the system choose one, which the log names.
        state_dir: folder for bundles and registry state; by default that which systemd gives to
            the service. No other program of millhand may use the same.
        repository_control: whether clients may load and unload models, always among the signed
            bundles of the registry (`POST /v2/repository/models/{model}/load` and `/unload`).
    """

    host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8470
    state_dir: Path = Field(
        default_factory=lambda: Path(os.environ.get("STATE_DIRECTORY", "/var/lib/millhand-server"))
    )
    repository_control: bool = False

    @model_validator(mode="after")
    def _address_is_of_this_machine(self) -> Self:
        if self.host != "localhost" and not _is_loopback(self.host):
            raise ValueError(
                f"host is '{self.host}'; allowed are 127.0.0.1, ::1 and localhost, because whoever "
                "reaches the port may ask for predictions: put a proxy that knows its users before "
                "it"
            )
        return self


class Stream(Section):
    """A stream of models that is served.

    Attributes:
        stream: name of the stream, which is the name of the model for clients.
        seq: number of the bundle to serve; None follows the newest that is published.
        versions: number of versions that answer at the same time: the newest, and those that
            served before it. Clients name one by its seq or by its semantic version.
    """

    stream: Name
    seq: Seq | None = None
    versions: Annotated[int, Field(ge=1, le=10)] = 1


class Log(Section):
    """What is written to standard error, which systemd's journal stores.

    Attributes:
        level: least severity of events that are logged.
    """

    level: Level = "info"


class Limits(Section):
    """Limits of everything that can grow.

    Attributes:
        max_batch: windows that one run of a model answers at most.
        max_waiting: windows of a stream that may wait for its model; beyond, requests are refused
            with 429.
        max_body_bytes: bytes of a request's body, as it arrives and once it is inflated.
        max_header_bytes: bytes of a request's line and headers together.
        max_connections: connections at a time; further ones are closed at once.
        client_s: seconds that a client may take to send a request, or to take its answer.
        idle_s: seconds that a connection may stay open without a request.
        request_s: seconds in which a request must be answered, unless it asks for less; beyond, it
            is refused with 504.
        inference_s: seconds after which an inference is interrupted.
        keep_bundles: bundles of each stream that stay on disk, the serving ones included.
        log_interval_s: seconds in which a warning of one kind is logged at most once.
        stop_s: seconds that a stop may wait for requests that are under way.
    """

    max_batch: Count = 256
    max_waiting: Count = 4096
    max_body_bytes: Bytes = 16 << 20
    max_header_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 16 << 10
    max_connections: Count = 1000
    client_s: Seconds = 10.0
    idle_s: Seconds = 75.0
    request_s: Seconds = 30.0
    inference_s: Seconds = 10.0
    keep_bundles: Annotated[int, Field(ge=2, le=100)] = 3
    log_interval_s: Seconds = 60.0
    stop_s: Seconds = 10.0


class Settings(BaseSettings):
    """The whole configuration of one server."""

    model_config = SettingsConfigDict(
        env_prefix="MILLHAND_SERVER_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    server: Server = Server()
    registry: Registry
    streams: Annotated[tuple[Stream, ...], Field(min_length=1, max_length=64)]
    limits: Limits = Limits()
    updates: Updates = Updates()
    proof: Proof = Proof()
    inference: Inference = Inference()
    log: Log = Log()

    @property
    def names(self) -> list[str]:
        """Names of the streams."""
        return [one.stream for one in self.streams]

    @property
    def secrets(self) -> Mapping[str, Path | None]:
        """Files with secrets by the key that names them; None where none is named."""
        return self.registry.access.secrets

    @model_validator(mode="after")
    def _streams_differ_and_are_kept(self) -> Self:
        if repeated := {name for name in self.names if self.names.count(name) > 1}:
            raise ValueError(f"each stream is named once; repeated: {sorted(repeated)}")
        most = max(one.versions for one in self.streams)
        if most > self.limits.keep_bundles:
            raise ValueError(
                f"streams asks for {most} versions at a time, but limits.keep_bundles is "
                f"{self.limits.keep_bundles}: raise it to {most} at least"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment overrides the file; dotenv files and secrets folders are not read."""
        return env_settings, init_settings
