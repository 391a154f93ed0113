"""The agent's settings: one TOML file, overridden by `MILLHAND_*` variables, checked whole.

Secrets are named by file, never by value, so that none is in the environment or in this file.
Everything that can grow has its limit under `[limits]`.
"""

import json
import os
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from agent.errors import ConfigError
from agent.frames import MAX_IN_FLIGHT
from agent.topics import SIGNAL, TopicTemplate, overlap
from models.manifest import Name

MAX_FILE_BYTES = 64 << 10  # tomllib takes seconds for a hostile file of this size
MAX_TOLD = 200
Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=366 * 86_400)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Qos = Annotated[int, Field(strict=True, ge=0, le=1)]


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
    receive_maximum: Annotated[int, Field(ge=1, le=65_535)] = 200

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
    dialect: Literal["json", "scalar", "umh", "thingsboard"] = "json"
    qos: Qos = 1
    signals: dict[Name, str] = Field(
        default={}, description="channel -> path in the payload, or name at the {signal} level"
    )
    value: str = Field("", description="scalar: path to the value; empty for plain text")
    timestamp: str = Field("", description="path to the source time; empty: time of arrival")
    timestamp_unit: Literal["ns", "us", "ms", "s", "iso8601"] = "ms"
    quality: str = Field("", description="path to the quality; empty: good")
    sequence: str = Field("", description="path to a number that tells messages apart")

    @model_validator(mode="after")
    def _paths_fit_dialect(self) -> Self:
        paths = {"timestamp": self.timestamp, "quality": self.quality, "sequence": self.sequence}
        fixed = self.dialect in ("umh", "thingsboard")
        unused = [name for name, path in paths.items() if path and fixed]
        if self.value and self.dialect != "scalar":
            unused.append("value")
        if unused:
            raise ValueError(f"dialect {self.dialect} has no use for {', '.join(unused)}")
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
        if per_signal and len(set(self.signals.values())) < len(self.signals):
            raise ValueError("signals: each channel has a level of its own; two have the same")
        if not per_signal and has_level:
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
    assets: tuple[str, ...] = Field(
        default=(), max_length=10_000, description="asset keys to take; empty: all"
    )

    @property
    def output_topic(self) -> str:
        """The output template, as given or by default below the asset of the first input."""
        if self.output.topic:
            return self.output.topic
        above, _, last = self.inputs[0].topic.rpartition("/")
        names_asset = last.startswith("{") and last != f"{{{SIGNAL}}}"
        base = self.inputs[0].topic if names_asset or not above else above
        return base + "/_inference/{stream}"

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


class Limits(_Section):
    """Everything that can grow, and how far."""

    max_batch: Count = 256
    max_payload_bytes: Annotated[int, Field(ge=16, le=64 << 20)] = 1 << 20
    max_assets: Count = 10_000
    max_topics: Count = 100_000
    max_in_flight: Annotated[int, Field(ge=1, le=MAX_IN_FLIGHT)] = 1_000
    max_outbox: Count = 10_000
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


def load_settings(path: Path) -> Settings:
    """Read and check the configuration; nothing is connected, created or written.

    Raises:
        ConfigError: every mistake found, each with file, key, what was found and what is allowed.
    """
    content = _read(path)
    try:
        return Settings(**content)
    except ValidationError as exc:
        errors = [error for error in exc.errors() if not _follows(error, exc.errors())]
        told = [f"{_place(error, path)}: {_told(error, content)}" for error in errors]
    except SettingsError as exc:
        told = [f"environment: {exc}; a section or list given there must be JSON"]
    raise ConfigError("\n".join(told))


def schema() -> str:
    """The JSON schema of the configuration, for editors and for `make check`."""
    return json.dumps(Settings.model_json_schema(), indent=1) + "\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        message = f"{path}: cannot be read: {exc.strerror}; give the file with --config"
        raise ConfigError(message) from exc
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes; no configuration is")
    try:
        content = tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as exc:  # also not UTF-8, a huge number, deep nesting
        raise ConfigError(f"{path}: is not TOML: {exc}") from exc
    # pydantic-settings takes arguments of its own by such names.
    if private := [key for key in content if key.startswith("_")]:
        raise ConfigError("\n".join(f"{path}: {key}: is not a setting" for key in private))
    return content


def _follows(error: Any, errors: Sequence[Any]) -> bool:  # noqa: ANN401  pydantic's ErrorDetails
    """Whether a list is only too short because what stands in it has mistakes of its own."""
    place = error["loc"]
    return error["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in errors
    )


def _place(error: Any, path: Path) -> str:  # noqa: ANN401  pydantic's own ErrorDetails
    """The file, or the environment variable that overrides it."""
    names = [str(part).upper() for part in error["loc"]]
    for end in range(len(names), 0, -1):
        variable = "MILLHAND_" + "__".join(names[:end])
        if variable in os.environ:
            return f"environment {variable}"
    return str(path)


def _told(error: Any, content: dict[str, Any]) -> str:  # noqa: ANN401  pydantic's own ErrorDetails
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error["loc"]).lstrip(".")
    reason = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{key}: is missing; it must be given"
    if error["type"] == "extra_forbidden":
        return f"{key}: is not a setting; see config/agent.schema.json for those there are"
    if isinstance(error["input"], dict | list | tuple | BaseModel) or error["input"] is content:
        return f"{key or 'file'}: {reason}"
    found = repr(error["input"])[:MAX_TOLD]
    return f"{key}: found {found}; {reason[:1].lower()}{reason[1:]}"
