"""The server's settings: their names, the values that are allowed, and what must fit together.

Everything that can grow has its limit under `[limits]`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from models.bundle.manifest import Name
from models.settings import Count, Seconds, Section
from server.access.settings import Access, is_of_this_machine
from server.console.settings import Console
from server.metrics.settings import Metrics
from server.predict.settings import Predict
from server.retraining.settings import Retraining
from server.rollouts.settings import Rollouts
from server.rpc.settings import Grpc
from serving.log import Level
from serving.preflight.toml_file import FileSettings
from serving.proof.settings import Proof
from serving.registry.settings import Registry
from serving.runtime.settings import Inference
from serving.updates.settings import Updates

Bytes = Annotated[int, Field(ge=1024, le=1 << 31)]
"""A size in bytes, from 1 KiB to 2 GiB."""
MAX_WORKERS: Final = 64
"""Processes that may answer requests on one port."""
Seq = Annotated[int, Field(ge=1, le=2**53 - 1)]


class Server(Section):
    """Where the server listens, and the folder that must survive a restart.

    Attributes:
        host: address to listen on. Other addresses than those of this machine alone (127.0.0.1,
            ::1, localhost) need `access.tokens_file`, and TLS.
        port: TCP port to listen on; 0 lets the system choose one, which the log names.
        state_dir: folder for bundles and registry state; by default that which systemd gives to
            the service. No other program of millhand may use the same.
        workers: processes that answer requests on the one port. Each has its own copy of every
            model; one core is used by one of them.
        repository_control: whether clients may load and unload models, always among the signed
            bundles of the registry (`POST /v2/repository/models/{model}/load` and `/unload`).
            Only with a single worker.
    """

    host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8470
    state_dir: Path = Field(
        default_factory=lambda: Path(os.environ.get("STATE_DIRECTORY", "/var/lib/millhand-server"))
    )
    workers: Annotated[int, Field(ge=1, le=MAX_WORKERS)] = 1
    repository_control: bool = False


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
        max_bodies_bytes: bytes of the bodies of all requests under way, as they arrive; beyond, a
            body of more than 64 KiB is refused with 503.
        max_header_bytes: bytes of a request's line and headers together.
        max_connections: connections at a time; for a further one, that which has been without a
            whole request for the longest is closed.
        max_pipelined: requests that a connection may send ahead of their answers; what it sends
            beyond is not read, and the connection ends after the answers to these.
        client_s: seconds that a client may take to send a request, or to take its answer.
        idle_s: seconds that a connection may stay open without a request.
        request_s: seconds in which a request must be answered, unless it asks for less; beyond, it
            is refused with 504.
        inference_s: seconds after which an inference is interrupted.
        keep_bundles: bundles of each stream that stay on disk, the serving ones included.
        log_interval_s: seconds in which a warning of one kind is logged at most once.
        stop_s: seconds that a stop may wait for requests that are under way.
        worker_deaths: workers that may die within a minute; beyond, the whole server ends, and
            systemd starts it again.
        worker_start_s: seconds in which a worker must have loaded what it serves, or it is killed,
            and started again.
        worker_silent_s: seconds without a sign of life after which a worker is killed, and started
            again.
    """

    max_batch: Count = 256
    max_waiting: Count = 4096
    max_body_bytes: Bytes = 16 << 20
    max_bodies_bytes: Bytes = 64 << 20
    max_header_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 16 << 10
    max_connections: Count = 1000
    max_pipelined: Count = 64
    client_s: Seconds = 10.0
    idle_s: Seconds = 75.0
    request_s: Seconds = 30.0
    inference_s: Seconds = 10.0
    keep_bundles: Annotated[int, Field(ge=2, le=100)] = 3
    log_interval_s: Seconds = 60.0
    stop_s: Seconds = 10.0
    worker_deaths: Count = 10
    worker_start_s: Seconds = 120.0
    worker_silent_s: Annotated[float, Field(ge=3, le=3600)] = 20.0


class Settings(FileSettings):
    """The whole configuration of one server."""

    env_prefix: ClassVar[str] = "MILLHAND_SERVER_"

    server: Server = Server()
    registry: Registry
    streams: Annotated[tuple[Stream, ...], Field(min_length=1, max_length=64)]
    limits: Limits = Limits()
    predict: Predict = Predict()
    updates: Updates = Updates()
    proof: Proof = Proof()
    inference: Inference = Inference()
    metrics: Metrics = Metrics()
    log: Log = Log()
    access: Access = Access()
    console: Console | None = None
    grpc: Grpc | None = None
    rollouts: Rollouts | None = None
    retraining: Retraining | None = None

    def address(self, port: int) -> str:
        """The address that the server listens on, as a URL."""
        scheme = "https" if self.access.is_encrypted else "http"
        host = f"[{self.server.host}]" if ":" in self.server.host else self.server.host
        return f"{scheme}://{host}:{port}"

    def with_workers(self, count: int) -> "Settings":
        """The same settings with another number of workers.

        Raises:
            ValueError: another setting allows a single worker only.
        """
        server = self.server.model_copy(update={"workers": count})
        changed = self.model_copy(update={"server": server})
        _check_workers(changed)
        return changed

    @property
    def exposures(self) -> list[str]:
        """A sentence for what others could read, though the settings allow it."""
        if self.access.is_encrypted or is_of_this_machine(self.server.host):
            return []
        sentence = (
            f"access.allow_plaintext: tokens arrive at {self.server.host} without TLS: everybody "
            "between the clients and what encrypts before the server can read them"
        )
        return [sentence]

    @property
    def names(self) -> list[str]:
        """Names of the streams."""
        return [one.stream for one in self.streams]

    @property
    def secrets(self) -> Mapping[str, Path | None]:
        """Files with secrets by the key that names them; None where none is named."""
        broker = self.console.broker if self.console is not None else None
        return {
            **self.registry.access.secrets,
            **self.access.secrets,
            **{
                f"console.broker.{key}": getattr(broker, key, None)
                for key in ("password_file", "key_file")
            },
            **(self.rollouts.secrets if self.rollouts is not None else {}),
        }

    @property
    def files(self) -> Mapping[str, Path | None]:
        """Files that must be readable by the key that names them; None where none is named."""
        broker = self.console.broker if self.console is not None else None
        return {
            "registry.root": self.registry.root,
            **self.registry.access.files,
            **self.access.files,
            **{
                f"console.broker.{key}": getattr(broker, key, None)
                for key in ("password_file", "ca_file", "cert_file", "key_file")
            },
            **(self.rollouts.files if self.rollouts is not None else {}),
            **(self.retraining.files if self.retraining is not None else {}),
        }

    @model_validator(mode="after")
    def _others_need_a_token(self) -> Self:
        self.access.check_address(self.server.host)
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        port = self.server.port
        if self.grpc is not None and self.grpc.port == port != 0:
            raise ValueError(f"server.port and grpc.port are both {port}: each needs its own port")
        return self

    @model_validator(mode="after")
    def _one_worker_where_it_must_be(self) -> Self:
        _check_workers(self)
        return self

    @model_validator(mode="after")
    def _retraining_has_a_registry(self) -> Self:
        if self.retraining is not None and self.rollouts is None:
            raise ValueError(
                "[retraining] needs [rollouts], which names the registry, its online key and the "
                "broker of the gateways"
            )
        return self

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


def _check_workers(settings: Settings) -> None:
    """Refuse several workers where something needs a single one."""
    single = {
        "[console]": settings.console is not None,
        "[rollouts]": settings.rollouts is not None,
        "[grpc]": settings.grpc is not None,
        "server.repository_control": settings.server.repository_control,
    }
    what = next((name for name, is_set in single.items() if is_set), "")
    if settings.server.workers > 1 and what:
        raise ValueError(
            f"server.workers is {settings.server.workers}, but {what} needs a single process so "
            f"far: set workers to 1, or leave {what} to another server, with a state_dir and a "
            "port of its own"
        )
