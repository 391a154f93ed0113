"""The agent's settings: what they are called, what they may be, and what must fit together.

Secrets are named by file, never by value, so that none is in the environment or in this file.
Everything that can grow has its limit under `[limits]`.
"""

import os
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from models.bundle.manifest import Name
from models.input.limits import IntakeLimits
from models.input.pipeline import Pipeline
from models.input.source import check_delivered_once
from models.input.topics import TopicTemplate, overlap
from models.settings import Count, Seconds, Section
from serving.registry.settings import Registry

Port = Annotated[int, Field(ge=1, le=65_535)]
MAX_RECEIVE_MAXIMUM: Final = 65_535
MAX_IN_FLIGHT: Final = 32_768
"""Packet ids that the agent has for its own publishes, see `agent.mqtt.packets`."""
TURNS_GATHERED: Final = 16
"""Where messages may be shed, that many turns' worth is taken in before some of it is answered."""


class Gateway(Section):
    """Who this agent is, and where it keeps what must survive a restart."""

    id: Name
    state_dir: Path = Field(
        default_factory=lambda: Path(os.environ.get("STATE_DIRECTORY", "/var/lib/millhand"))
    )


class Broker(Section):
    """The MQTT connection. TLS is used when `ca_file` or `tls` is set."""

    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Port = 1883
    client_id: str = Field("", description="default: millhand-<gateway id>", max_length=128)
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    username: str | None = None
    password_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    connect_timeout_s: Seconds = 15.0
    reconnect_max_s: Seconds = 60.0
    session_expiry_s: Annotated[int, Field(ge=0, le=2**32 - 2)] = 86_400
    receive_maximum: Annotated[int, Field(ge=1, le=MAX_RECEIVE_MAXIMUM)] = 200

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        if self.password_file and not self.username:
            raise ValueError("password_file needs username beside it")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together")
        if self.cert_file and not self.uses_tls:
            raise ValueError("cert_file needs TLS: set tls = true, or ca_file")
        return self

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls or self.ca_file is not None


class Journal(Section):
    """What windows remember, on disk under `gateway.state_dir`, so that it survives a crash."""

    enabled: bool = Field(default=True, description="false: windows begin anew after a crash")
    sync: bool = Field(
        default=True,
        description="false: a crash of the agent costs no reading, a power cut may cost a second",
    )
    file_inputs: Count = Field(5_000, description="a new file is begun after as many readings")
    file_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 16 << 20


class Limits(IntakeLimits):
    """Everything that can grow, and how far."""

    max_batch: Count = 256
    max_waiting: Count = 100_000
    max_topics: Count = 100_000
    max_in_flight: Annotated[int, Field(ge=1, le=MAX_IN_FLIGHT)] = 10_000
    max_outbox: Count = 10_000
    max_refused: Count = 10
    keep_bundles: Annotated[int, Field(ge=2, le=100)] = 3
    keep_drift_s: Seconds = 60.0
    metrics_s: Seconds = 10.0
    log_interval_s: Seconds = 60.0
    stop_s: Seconds = 10.0


class Settings(BaseSettings):
    """The whole configuration of one agent."""

    model_config = SettingsConfigDict(
        env_prefix="MILLHAND_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    gateway: Gateway
    broker: Broker
    registry: Registry
    pipelines: Annotated[tuple[Pipeline, ...], Field(min_length=1, max_length=64)]
    limits: Limits = Limits()
    journal: Journal = Journal()

    @property
    def client_id(self) -> str:
        """The MQTT client id of the agent."""
        return self.broker.client_id or f"millhand-{self.gateway.id}"

    @property
    def connection(self) -> Broker:
        """The broker as it is connected to: where messages may be shed, all that wait are seen."""
        sheds = any(pipeline.overload != "block" for pipeline in self.pipelines)
        seen = min(TURNS_GATHERED * self.limits.max_batch, MAX_RECEIVE_MAXIMUM) if sheds else 1
        most = max(self.broker.receive_maximum, seen)
        return self.broker.model_copy(update={"receive_maximum": most})

    @model_validator(mode="after")
    def _streams_differ_and_do_not_feed_themselves(self) -> Self:
        streams = [pipeline.stream for pipeline in self.pipelines]
        repeated = {stream for stream in streams if streams.count(stream) > 1}
        if repeated:
            raise ValueError(f"each stream has one pipeline; repeated: {sorted(repeated)}")
        inputs = [source for pipeline in self.pipelines for source in pipeline.inputs]
        for pipeline in self.pipelines:
            output = pipeline.output_topic.replace("{stream}", pipeline.stream)
            written = [TopicTemplate(output).filter]
            if pipeline.output.scalars:
                written.append(f"{written[0]}/+")
            for source in inputs:
                if any(overlap(TopicTemplate(source.topic).filter, topic) for topic in written):
                    raise ValueError(
                        f"input topic '{source.topic}' would read the predictions written to "
                        f"'{pipeline.output_topic}'"
                    )
        return self

    @model_validator(mode="after")
    def _inputs_are_delivered_once(self) -> Self:
        check_delivered_once([source for one in self.pipelines for source in one.inputs])
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
        """Environment over file; no dotenv file, no secrets directory."""
        return env_settings, init_settings
