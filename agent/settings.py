"""The agent's settings: what they are called, what they may be, and what must fit together.

Secrets are named by file, never by value, so that none is in the environment or in this file.
Everything that can grow has its limit under `[limits]`.
"""

import os
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from agent.frames import MAX_IN_FLIGHT
from models.manifest import Name
from models.topics import SIGNAL, TopicTemplate, overlap

Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=366 * 86_400)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Qos = Annotated[int, Field(strict=True, ge=0, le=1)]


MAX_RECEIVE_MAXIMUM: Final = 65_535
TURNS_GATHERED: Final = 16
"""Where messages may be shed, that many turns' worth is taken in before some of it is answered."""


def _template(text: str) -> str:
    TopicTemplate(text)  # raises TemplateError, a ValueError, which pydantic reports
    return text


Topic = Annotated[str, AfterValidator(_template)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Gateway(_Section):
    """Who this agent is, and where it keeps what must survive a restart."""

    id: Name
    state_dir: Path = Field(
        default_factory=lambda: Path(os.environ.get("STATE_DIRECTORY", "/var/lib/millhand"))
    )


class Broker(_Section):
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


class Registry(_Section):
    """Where signed bundles come from, and the root of trust the operator installed."""

    url: str
    root: Path
    poll_s: Seconds = 3600.0
    deadline_s: Seconds = 600.0
    max_bundle_bytes: Annotated[int, Field(ge=1024, le=640 << 20)] = 256 << 20

    @model_validator(mode="after")
    def _scheme_is_known(self) -> Self:
        if urlsplit(self.url).scheme not in ("file", "http", "https"):
            raise ValueError(
                f"url is '{self.url}'; it must begin with file://, http:// or https://"
            )
        return self


class Input(_Section):
    """Topics that carry readings, and how to read them."""

    topic: Topic
    dialect: Literal["json", "scalar", "umh", "thingsboard", "block"] = "json"
    encoding: Literal["", "json", "base64", "float32"] = Field(
        "", description="block: JSON numbers, base64 of float32, or nothing but float32"
    )
    qos: Qos = 1
    signals: dict[Name, str] = Field(
        default={}, description="channel -> path in the payload, or name at the {signal} level"
    )
    value: str = Field("", description="scalar, block: path to what is measured; empty: plain")
    timestamp: str = Field("", description="path to the source time; empty: time of arrival")
    timestamp_unit: Literal["ns", "us", "ms", "s", "iso8601"] = "ms"
    quality: str = Field("", description="path to the quality; empty: good")
    sequence: str = Field("", description="path to a number that tells messages apart")

    @model_validator(mode="after")
    def _paths_fit_dialect(self) -> Self:
        paths = {"timestamp": self.timestamp, "quality": self.quality, "sequence": self.sequence}
        is_raw = self.dialect == "block" and self.encoding == "float32"
        fixed = is_raw or self.dialect in ("umh", "thingsboard")
        unused = [name for name, path in paths.items() if path and fixed]
        if self.value and (is_raw or self.dialect not in ("scalar", "block")):
            unused.append("value")
        if self.encoding and self.dialect != "block":
            unused.append("encoding")
        if unused:
            raw = " with encoding float32" if is_raw else ""
            raise ValueError(f"dialect {self.dialect}{raw} has no use for {', '.join(unused)}")
        if self.dialect == "block" and not self.encoding:
            raise ValueError("dialect block needs encoding: json, base64 or float32")
        return self

    @model_validator(mode="after")
    def _signal_level_fits_dialect(self) -> Self:
        per_signal = self.dialect in ("scalar", "umh")
        has_level = SIGNAL in TopicTemplate(self.topic).names
        if per_signal and not has_level and len(self.signals) != 1:
            raise ValueError(
                f"dialect {self.dialect} has one topic a signal: name the level {{signal}} in "
                "topic, or give exactly one entry in signals"
            )
        by_level = per_signal or has_level
        if by_level and len(set(self.signals.values())) < len(self.signals):
            raise ValueError("signals: each channel has a level of its own; two have the same")
        if not per_signal and has_level and self.dialect != "block":
            raise ValueError(f"dialect {self.dialect} carries all signals: topic has no {{signal}}")
        return self


class Output(_Section):
    """Where predictions go. Named levels are those of the inputs, and `{stream}`."""

    topic: Topic | None = Field(None, description="default: <asset's levels>/_inference/{stream}")
    qos: Qos = 1
    scalars: bool = Field(default=False, description="also one plain value a topic below it")


class Pipeline(_Section):
    """One stream of models, fed by some topics."""

    stream: Name
    inputs: Annotated[tuple[Input, ...], Field(min_length=1, max_length=64)]
    output: Output = Output()
    overload: Literal["block", "latest", "decimate"] = Field(
        "block", description="what is given up when more comes than can be answered; block: nothing"
    )
    assets: tuple[str, ...] = Field(
        default=(), max_length=10_000, description="asset keys to take; empty: all"
    )
    disorder_ms: Annotated[int, Field(ge=0, le=3_600_000)] = Field(
        default=0, description="readings that come out of order by as much are put in order"
    )

    @model_validator(mode="after")
    def _order_is_that_of_the_source(self) -> Self:
        for number, source in enumerate(self.inputs):
            is_timed = source.timestamp or source.dialect in ("umh", "thingsboard")
            if self.disorder_ms and not is_timed:
                raise ValueError(
                    f"disorder_ms puts readings in order of their own time, but inputs[{number}] "
                    "names no timestamp: name its path, or leave disorder_ms out"
                )
        return self

    @property
    def output_topic(self) -> str:
        """The output template, as given or by default below the asset of the first input."""
        if self.output.topic:
            return self.output.topic
        above, _, last = self.inputs[0].topic.rpartition("/")
        names_asset = last.startswith("{") and last != f"{{{SIGNAL}}}"
        base = self.inputs[0].topic if names_asset or not above else above
        return base + "/_inference/{stream}"

    @property
    def is_of_blocks(self) -> bool:
        """Whether its inputs carry blocks of samples."""
        return self.inputs[0].dialect == "block"

    @model_validator(mode="after")
    def _inputs_are_blocks_or_none_is(self) -> Self:
        dialects = [source.dialect for source in self.inputs]
        if any((dialect == "block") != self.is_of_blocks for dialect in dialects):
            raise ValueError(
                f"inputs are of dialects {', '.join(dialects)}: where one is block, all are"
            )
        return self

    @model_validator(mode="after")
    def _levels_fit(self) -> Self:
        wanted = set(TopicTemplate(self.output_topic).names) - {"stream"}
        for number, source in enumerate(self.inputs):
            given = set(TopicTemplate(source.topic).names) - {SIGNAL}
            if wanted - given:
                raise ValueError(
                    f"output topic needs {sorted(wanted - given)}, which inputs[{number}].topic "
                    f"does not name; it names {sorted(given)}"
                )
        return self


class Journal(_Section):
    """What windows remember, on disk under `gateway.state_dir`, so that it survives a crash."""

    enabled: bool = Field(default=True, description="false: windows begin anew after a crash")
    sync: bool = Field(
        default=True,
        description="false: a crash of the agent costs no reading, a power cut may cost a second",
    )
    file_inputs: Count = Field(5_000, description="a new file is begun after as many readings")
    file_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 16 << 20


class Limits(_Section):
    """Everything that can grow, and how far."""

    max_batch: Count = 256
    max_payload_bytes: Annotated[int, Field(ge=16, le=64 << 20)] = 1 << 20
    max_assets: Count = 10_000
    max_waiting: Count = 100_000
    max_topics: Count = 100_000
    max_in_flight: Annotated[int, Field(ge=1, le=MAX_IN_FLIGHT)] = 1_000
    max_outbox: Count = 10_000
    max_refused: Count = 10
    max_future_s: Seconds = 60.0
    earliest: AwareDatetime = datetime(2000, 1, 1, tzinfo=UTC)
    keep_bundles: Annotated[int, Field(ge=2, le=100)] = 3
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
        """A broker delivers a message once for each filter that describes it (MQTT 5, 3.3.4)."""
        inputs = [source for pipeline in self.pipelines for source in pipeline.inputs]
        filters = sorted({TopicTemplate(source.topic).filter for source in inputs})
        for one, other in combinations(filters, 2):
            if overlap(one, other):
                raise ValueError(
                    f"inputs '{one}' and '{other}' have topics in common, which would arrive "
                    "twice: write both topics alike, or give each an agent of its own"
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
        """Environment over file; no dotenv file, no secrets directory."""
        return env_settings, init_settings
