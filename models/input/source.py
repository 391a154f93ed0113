"""One input of a pipeline in the gateway's configuration: which topics, and how to read them.

The agent serves by these settings and the trainer records by them, so both take in the same
readings.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from models.bundle.manifest import Name
from models.input.codecs.paths import check_differ, single
from models.input.codecs.qualities import QualityMap
from models.input.codecs.reading import Fields
from models.input.codecs.times import TimeUnit, ZoneName
from models.input.codecs.values import Numbers
from models.input.topics import ASSET, SIGNAL, TopicTemplate, overlap
from models.settings import Section

Qos = Annotated[int, Field(strict=True, ge=0, le=1)]
"""Quality of service. QoS 2 is not needed: a redelivery at QoS 1 is recognised (agent/delivery)."""


def _template(text: str) -> str:
    TopicTemplate(text)  # raises TemplateError, a ValueError, which pydantic reports
    return text


def _path(text: str) -> str:
    if text:
        single(text)  # raises PathError, a ValueError, as above
    return text


Topic = Annotated[str, AfterValidator(_template)]
PayloadPath = Annotated[str, AfterValidator(_path)]
"""Where a value stands in the payload, see `models.input.codecs.paths`; empty for nowhere."""


class Input(Section):
    """Topics that carry readings, and the payload format in which they carry them."""

    topic: Topic
    dialect: Literal["json", "scalar", "umh", "thingsboard", "block"] = Field(
        "json", description="payload format, see docs/topics.md"
    )
    encoding: Literal["", "json", "base64", "float32"] = Field(
        "",
        description="how a block writes its samples: as JSON numbers, as base64 text of float32, "
        "or as a payload of nothing but float32; only for dialect block",
    )
    qos: Qos = 1
    signals: dict[Name, str] = Field(
        default={},
        description="the model's signal -> its path in the payload, or its name at the {signal} "
        "level of the topic; empty: the signals' own names",
    )
    numbers: Numbers = Field(
        "strict",
        description="lenient: also numbers in quotes, with a decimal comma or a unit behind, as in "
        '"23,5 bar"',
    )
    asset: PayloadPath = Field(
        "",
        description="path of the asset in the payload, where several share a topic; it is joined "
        "to the topic's levels; only for dialects json and scalar",
    )
    signal: PayloadPath = Field(
        "",
        description="path of the signal's name in the payload, in place of the level {signal}; "
        "only for dialect scalar",
    )
    value: PayloadPath = Field(
        "",
        description="path of the measured value in the payload, for dialects scalar and block; "
        "empty: the payload is the value alone, or has it at `value` where other paths are given",
    )
    timestamp: PayloadPath = Field(
        "", description="path of the source time in the payload; empty: the time of arrival counts"
    )
    timestamp_unit: TimeUnit = "ms"
    timezone: ZoneName = Field(
        "UTC",
        description="time zone of times in text without an offset, such as Europe/Berlin; only "
        "for timestamp_unit iso8601",
    )
    quality: PayloadPath = Field(
        "", description="path of the quality in the payload; empty: every reading is GOOD"
    )
    quality_map: QualityMap | None = Field(
        None,
        description="how the quality is read: the name of a product's way, or a table from a "
        "value as text to GOOD, UNCERTAIN or BAD; without it only what has one meaning is read",
    )
    last_known: bool = Field(
        default=False,
        description="true: a retained message without a time stands for its signals from its "
        "arrival on, as UNCERTAIN, until they report; for sources that publish on change only",
    )
    sequence: PayloadPath = Field(
        "",
        description="path of a number that differs from message to message; it tells readings of "
        "the same time apart",
    )

    @model_validator(mode="after")
    def _paths_fit_dialect(self) -> Self:
        paths = {"timestamp": self.timestamp, "quality": self.quality, "sequence": self.sequence}
        is_raw = self.dialect == "block" and self.encoding == "float32"
        fixed = is_raw or self.dialect in ("umh", "thingsboard")
        unused = [name for name, path in paths.items() if path and fixed]
        if self.value and (is_raw or self.dialect not in ("scalar", "block")):
            unused.append("value")
        if self.asset and self.dialect not in ("json", "scalar"):
            unused.append("asset")
        if self.signal and self.dialect != "scalar":
            unused.append("signal")
        if self.encoding and self.dialect != "block":
            unused.append("encoding")
        if self.numbers != "strict" and self.dialect == "block":
            unused.append("numbers")
        if unused:
            raw = " with encoding float32" if is_raw else ""
            raise ValueError(
                f"dialect {self.dialect}{raw} has no use for {', '.join(unused)}: leave it out, or "
                "choose another dialect"
            )
        if self.dialect == "block" and not self.encoding:
            raise ValueError("dialect block needs encoding: json, base64 or float32")
        return self

    @model_validator(mode="after")
    def _ways_of_reading_are_used(self) -> Self:
        if self.quality_map is not None and not self.quality:
            raise ValueError("quality_map needs quality, the path of the quality in the payload")
        if self.timezone != "UTC" and not (self.timestamp and self.timestamp_unit == "iso8601"):
            raise ValueError(
                "timezone is for times in text: give timestamp and timestamp_unit = 'iso8601', or "
                "leave it out"
            )
        return self

    @model_validator(mode="after")
    def _signal_level_fits_dialect(self) -> Self:
        per_signal = self.dialect in ("scalar", "umh")
        has_level = SIGNAL in TopicTemplate(self.topic).names
        if per_signal and not (has_level or self.signal) and len(self.signals) != 1:
            raise ValueError(
                f"dialect {self.dialect} has one topic for each signal: name the level {{signal}} "
                "in topic, or give exactly one entry in signals"
            )
        by_level = per_signal or has_level
        if by_level and len(set(self.signals.values())) < len(self.signals):
            raise ValueError(
                "signals: two signals are bound to the same topic level; give each its own"
            )
        if not per_signal and has_level and self.dialect != "block":
            raise ValueError(
                f"dialect {self.dialect} carries all signals in one message: take the level "
                "{signal} out of topic"
            )
        return self

    @model_validator(mode="after")
    def _last_known_has_no_time(self) -> Self:
        if self.last_known and (self.timestamp or self.dialect in ("umh", "block")):
            found = f"timestamp '{self.timestamp}'" if self.timestamp else f"dialect {self.dialect}"
            raise ValueError(
                f"last_known is for retained messages without a time, but with {found} none is "
                "taken: leave last_known out; a retained message with a time is used without it"
            )
        return self

    @property
    def is_timed(self) -> bool:
        """Whether messages may have a time of their own."""
        return bool(self.timestamp) or self.dialect not in ("json", "scalar", "block")

    @property
    def takes_retained(self) -> bool:
        """Whether a retained message may stand for its signals until they report."""
        return self.dialect != "block" and (self.is_timed or self.last_known)

    @property
    def fields(self) -> Fields:
        """Where a payload has its time, quality and sequence number, and how they are read."""
        return Fields(
            self.timestamp,
            self.timestamp_unit,
            self.quality,
            self.sequence,
            self.quality_map,
            self.timezone,
        )

    @property
    def has_payload_names(self) -> bool:
        """Whether the payload names the asset or the signal, so that messages of a topic differ."""
        return bool(self.asset or self.signal)

    @property
    def level_names(self) -> tuple[str, ...]:
        """The names of the levels that make up the asset, from left to right."""
        names = (name for name in TopicTemplate(self.topic).names if name != SIGNAL)
        return (*names, ASSET) if self.asset else tuple(names)

    @model_validator(mode="after")
    def _topic_leaves_names_to_the_payload(self) -> Self:
        template = TopicTemplate(self.topic)
        for name, path in ((ASSET, self.asset), (SIGNAL, self.signal)):
            if path and name in template.names:
                raise ValueError(
                    f"{name}: both the topic's level {{{name}}} and the path {path} name it: leave "
                    "out one, or call the level otherwise"
                )
        if self.asset and template.is_open:
            raise ValueError(
                f"asset: topic '{self.topic}' has a level of variable depth, which must be the "
                "last of the asset's levels: name the asset by the topic alone"
            )
        return self

    @property
    def has_signal_paths(self) -> bool:
        """Whether signals are bound to paths in the payload, and not to a level of the topic."""
        if self.dialect == "block":
            is_by_level = SIGNAL in TopicTemplate(self.topic).names
            return not (is_by_level or self.value or self.encoding == "float32")
        return self.dialect in ("json", "thingsboard")

    @model_validator(mode="after")
    def _signals_have_paths_of_their_own(self) -> Self:
        if self.has_signal_paths:
            check_differ(self.signals)
        return self


def check_delivered_once(inputs: Sequence[Input]) -> None:
    """Check that no two inputs subscribe to the same topic.

    A broker may deliver a message once for each subscription that matches it (MQTT 5, 3.3.4), and
    windows would then take a reading twice.

    Raises:
        ValueError: two topic filters overlap; the message names both, and what to do.
    """
    filters = sorted({TopicTemplate(source.topic).filter for source in inputs})
    for one, other in combinations(filters, 2):
        if overlap(one, other):
            raise ValueError(
                f"inputs '{one}' and '{other}' have topics in common, which would arrive "
                "twice: write both topics alike, or give each an agent of its own"
            )
