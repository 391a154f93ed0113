"""One input of a pipeline in the gateway's configuration: which topics, and how to read them.

The agent serves by these settings and the trainer records by them, so both take in the same
readings.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from models.bundle.manifest import Name
from models.input.codecs import encodings
from models.input.codecs.document import Parse, parse, parse_message
from models.input.codecs.paths import check_differ, single
from models.input.codecs.qualities import QualityMap
from models.input.codecs.reading import Fields
from models.input.codecs.times import TimeUnit, ZoneName
from models.input.codecs.values import Numbers
from models.input.options import OPTIONS, Dialect, uses
from models.input.sparkplug.topic import TYPE, SparkplugTemplate
from models.input.tags.layout import NAMED, Layout, Named
from models.input.topics import ASSET, SIGNAL, TopicTemplate, metadata_topic
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
    dialect: Dialect = Field("json", description="payload format, see docs/topics.md")
    encoding: Literal["", "json", "base64", "float32", "gzip", "cbor", "msgpack"] = Field(
        "",
        description="how the payload is written, if it is not JSON text: as JSON that was "
        "compressed by gzip, as CBOR or as MessagePack. A block needs it; its samples may also be "
        "JSON numbers (json), base64 text of float32, or a payload of nothing but float32",
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
        "to the topic's levels; only for dialects json, scalar and lists of tags",
    )
    name_separator: Annotated[str, Field(max_length=8)] = Field(
        "",
        description="text in the name of a tag before which the asset stands, the last one counts: "
        "with '.', Line1.Press.Flow is signal Flow of asset Line1.Press; with '/', the other "
        "slashes become colons, as in Line1:Press; only for lists of tags",
    )
    tags: Layout = Field(
        Layout(), description="where the tags stand in the payload; only for dialect tags"
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
    _max_bytes: int = PrivateAttr(1 << 20)  # see `limit`
    _own_node: tuple[str, str] | None = PrivateAttr(None)
    rebirth: bool = Field(
        default=False,
        description="true: ask nodes whose birth is missing for it, by the command Node "
        "Control/Rebirth; only for dialect sparkplug",
    )

    @model_validator(mode="after")
    def _paths_fit_dialect(self) -> Self:
        is_raw = self.dialect == "block" and self.encoding == "float32"
        used = uses(self.dialect, self.encoding if is_raw else "")
        if self.encoding in encodings.ENCODINGS and self.dialect not in ("influx", "sparkplug"):
            used |= {"encoding"}
        defaults = Input.model_fields
        given = [name for name in OPTIONS if getattr(self, name) != defaults[name].default]
        if unused := [name for name in given if name not in used]:
            raw = " with encoding float32" if is_raw else ""
            raise ValueError(
                f"dialect {self.dialect}{raw} has no use for {', '.join(unused)}: leave it out, or "
                "choose another dialect"
            )
        if self.dialect == "tags" and not self.tags.model_fields_set:
            raise ValueError("dialect tags needs the table tags, which says where the tags stand")
        if self.asset and self.name_separator:
            raise ValueError("asset and name_separator both name the asset: leave one out")
        if self.dialect == "block" and not self.encoding:
            raise ValueError(
                "dialect block needs encoding: samples as json, base64 or float32, or a payload of "
                "gzip, cbor or msgpack"
            )
        encodings.check_installed(self.encoding)
        return self

    @model_validator(mode="after")
    def _ways_of_reading_are_used(self) -> Self:
        states_quality = any(one.quality or one.layout.quality for one in self.forms)
        if self.quality_map is not None and not (self.quality or states_quality):
            raise ValueError("quality_map needs quality, the path of the quality in the payload")
        units = {one.timestamp_unit for one in self.forms}
        units |= {self.timestamp_unit} if self.timestamp else set()
        if self.timezone != "UTC" and "iso8601" not in units:
            raise ValueError(
                "timezone is for times in text: give timestamp and timestamp_unit = 'iso8601', or "
                "leave it out"
            )
        is_fixed = any(one.nanoseconds for one in self.forms)
        if is_fixed and "timestamp_unit" in self.model_fields_set:
            raise ValueError(
                f"dialect {self.dialect} states seconds and nanoseconds: leave timestamp_unit out"
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
        by_name = per_signal or has_level or self.forms or self.dialect == "sparkplug"
        if by_name and len(set(self.signals.values())) < len(self.signals):
            what = "topic level" if per_signal or has_level else "tag"
            raise ValueError(f"signals: two are bound to the same {what}; give each its own")
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
        if forms := self.forms:
            return all(form.timestamp or form.layout.timestamp for form in forms)
        return bool(self.timestamp) or self.dialect not in ("json", "scalar", "block")

    @property
    def takes_retained(self) -> bool:
        """Whether a retained message may stand for its signals until they report."""
        is_live_only = self.dialect in ("block", "sparkplug")  # Sparkplug 3.0.0, 6.4: no retain
        return not is_live_only and (self.is_timed or self.last_known)

    @property
    def filter(self) -> str:
        """The topic filter to subscribe to."""
        return TopicTemplate(self.topic).filter if self._nodes is None else self._nodes.filter

    @property
    def filters(self) -> Sequence[str]:
        """All topic filters to subscribe to, also those of `knowledge`."""
        others = [TopicTemplate(self.knowledge).filter] if self.knowledge else []
        return [self.filter, *others]

    @property
    def knowledge(self) -> str:
        """Template of the topics that say how its payloads are read; empty without any."""
        return metadata_topic(self.topic) if self.dialect == "siemens" else ""

    def difference(self, topic: str) -> str:
        """What keeps a topic from matching, in words for the operator; empty if it matches."""
        if self.knowledge and TopicTemplate(self.knowledge).match(topic) is not None:
            return ""
        if self._nodes is not None and self._nodes.match(topic) is not None:
            return ""
        return TopicTemplate(self.topic).difference(topic)

    @property
    def _nodes(self) -> SparkplugTemplate | None:
        template = TopicTemplate(self.topic)
        return SparkplugTemplate(template) if self.dialect == "sparkplug" else None

    @property
    def form(self) -> str:
        """The payload format and its encoding, in words."""
        return self.dialect + (f" of {self.encoding}" if self.encoding else "")

    @property
    def parse(self) -> Parse:
        """What turns a payload into its document, by `encoding`.

        A block is parsed strictly: a mistake beside its thousands of samples is one of its source.
        """
        text = parse if self.dialect == "block" else parse_message
        return encodings.parser(self.encoding, text, self._max_bytes)

    def limit(self, max_bytes: int, own_node: tuple[str, str] | None = None) -> None:
        """Set the bytes of an inflated payload, 1 MiB if never called, and the node not to read."""
        self._max_bytes, self._own_node = max_bytes, own_node

    @property
    def bounds(self) -> tuple[int, tuple[str, str] | None]:
        """Most bytes of an inflated payload; group and name of the gateway's own Sparkplug node."""
        return self._max_bytes, self._own_node

    @property
    def forms(self) -> Sequence[Named]:
        """The forms of payloads that are lists of tags; none for other payload formats."""
        if self.dialect == "tags":
            timed = bool(self.timestamp or self.tags.timestamp)
            own = Named(self.tags, "", self.timestamp, self.timestamp_unit, self.quality)
            return (own._replace(quality_map=self.quality_map, has_time=timed),)
        changed: dict[str, Any] = {}
        if "timestamp_unit" in self.model_fields_set:
            changed["timestamp_unit"] = self.timestamp_unit
        if self.quality_map is not None:
            changed["quality_map"] = self.quality_map
        return tuple(form._replace(**changed) for form in NAMED.get(self.dialect, ()))

    @property
    def fields(self) -> Fields:
        """Where a payload has its time, quality and sequence number, and how they are read."""
        time, others = (self.timestamp, self.timestamp_unit), (self.quality, self.sequence)
        return Fields(*time, *others, self.quality_map, self.timezone)

    @property
    def is_of_tags(self) -> bool:
        """Whether its messages are lists of tags or metrics, of which an input takes some."""
        return bool(self.forms) or self.dialect == "sparkplug"

    @property
    def has_payload_names(self) -> bool:
        """Whether the payload names the asset or the signal, so that messages of a topic differ."""
        return bool(self.asset or self.signal) or self.is_of_tags

    @property
    def names_asset(self) -> bool:
        """Whether the payload names the asset, which then counts as the last level of the topic."""
        return bool(self.asset or self.name_separator) or self._is_by_asset

    @property
    def _is_by_asset(self) -> bool:
        return any(form.by_asset for form in NAMED.get(self.dialect, ()))

    @property
    def level_names(self) -> tuple[str, ...]:
        """The names of the levels that make up the asset, from left to right."""
        others = (SIGNAL, TYPE) if self.dialect == "sparkplug" else (SIGNAL,)
        names = (name for name in TopicTemplate(self.topic).names if name not in others)
        return (*names, ASSET) if self.names_asset else tuple(names)

    @model_validator(mode="after")
    def _topic_leaves_names_to_the_payload(self) -> Self:
        template = TopicTemplate(self.topic)
        if self.dialect == "sparkplug":
            SparkplugTemplate(template)  # raises TemplateError, a ValueError
        if self.dialect == "siemens":
            metadata_topic(self.topic)  # as above
        separator = self.name_separator and f"name_separator {self.name_separator}"
        asset = f"path {self.asset}" if self.asset else separator
        if self._is_by_asset:
            asset = "keys of the payload"
        for name, given in ((ASSET, asset), (SIGNAL, self.signal and f"path {self.signal}")):
            if given and name in template.names:
                raise ValueError(
                    f"{name}: both the topic's level {{{name}}} and the {given} name it: leave "
                    "out one, or call the level otherwise"
                )
        if self.names_asset and template.is_open:
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
