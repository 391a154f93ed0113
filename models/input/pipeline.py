"""The inputs of a pipeline as the gateway's configuration names them: topics, dialects, limits.

The agent serves by them, and the trainer records by them, so that both take in the same readings.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from models.bundle.manifest import Name
from models.input.admission import TimeBounds
from models.input.topics import SIGNAL, TopicTemplate, overlap
from models.settings import Count, Seconds, Section

Qos = Annotated[int, Field(strict=True, ge=0, le=1)]


def _template(text: str) -> str:
    TopicTemplate(text)  # raises TemplateError, a ValueError, which pydantic reports
    return text


Topic = Annotated[str, AfterValidator(_template)]


class Input(Section):
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


class Output(Section):
    """Where predictions go. Named levels are those of the inputs, and `{stream}`."""

    topic: Topic | None = Field(None, description="default: <asset's levels>/_inference/{stream}")
    qos: Qos = 1
    scalars: bool = Field(default=False, description="also one plain value a topic below it")


class Pipeline(Section):
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


class IntakeLimits(Section):
    """What of the messages that arrive is taken in."""

    max_payload_bytes: Annotated[int, Field(ge=16, le=64 << 20)] = 1 << 20
    max_assets: Count = 10_000
    max_future_s: Seconds = 60.0
    earliest: AwareDatetime = datetime(2000, 1, 1, tzinfo=UTC)

    @property
    def time_bounds(self) -> TimeBounds:
        """Which source times are plausible."""
        return TimeBounds(
            earliest_ns=round(self.earliest.timestamp() * 1e9),
            max_future_ns=round(self.max_future_s * 1e9),
        )


def check_delivered_once(inputs: Sequence[Input]) -> None:
    """Refuse filters with topics in common: a broker delivers for each of them (MQTT 5, 3.3.4).

    Raises:
        ValueError: names both, and what to do.
    """
    filters = sorted({TopicTemplate(source.topic).filter for source in inputs})
    for one, other in combinations(filters, 2):
        if overlap(one, other):
            raise ValueError(
                f"inputs '{one}' and '{other}' have topics in common, which would arrive "
                "twice: write both topics alike, or give each an agent of its own"
            )
