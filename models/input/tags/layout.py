"""Where a list of tags stands in a payload, and where each tag has its name, value and time.

A payload has groups, a group has items, and an item is one tag:

    {"timestamp": 1760000000000, "values": [{"id": "Pump.P", "v": 4.2, "q": true, "t": 17600...}]}
    ^ one group                             ^ one item
"""

from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field

from models.input.codecs.paths import parsed, single
from models.input.codecs.qualities import NamedMap
from models.input.codecs.times import TimeUnit
from models.settings import Section


def _path(text: str) -> str:
    if text:
        single(text)  # raises PathError, a ValueError, which pydantic reports
    return text


def _paths(text: str) -> str:
    if text:
        parsed(text)  # as above
    return text


ItemPath = Annotated[str, AfterValidator(_path)]
"""Where something stands in one item; empty for nowhere."""
ItemPaths = ItemPath | Annotated[tuple[ItemPath, ...], Field(min_length=1, max_length=4)]
"""As a path, or several, of which the first counts where there is something."""
ListPath = Annotated[str, AfterValidator(_paths)]
"""As a path, and `[*]` for every element of an array."""


class Layout(Section):
    """Where the tags stand in a payload, and what each consists of."""

    groups: ListPath = Field(
        "",
        description="path of the parts of a payload that have a list of tags each, such as "
        "Messages[*]; empty: the payload is one part, or an array of them",
    )
    items: ListPath = Field(
        "",
        description="path of the tags in their part: an array, or an object whose keys are their "
        "names; empty: the part is itself one tag, or the object of tags if name is empty",
    )
    name: ItemPaths = Field(
        "",
        description="path of the name in a tag, or in its part; empty: the tags are an object, and "
        "its keys are their names",
    )
    value: ItemPaths = Field(
        "", description="path of the value in a tag; empty: the tag is the value itself"
    )
    timestamp: ItemPaths = Field(
        "",
        description="path of the source time in a tag; where a tag has none, that of the input "
        "counts, which is a path in the part",
    )
    quality: ItemPaths = Field(
        "",
        description="path of the quality in a tag; where a tag has none, that of the input counts, "
        "which is a path in the part",
    )
    failed: ItemPath = Field(
        "",
        description="path in a tag that is there only if it could not be read: the tag is BAD",
    )
    failures: ItemPath = Field(
        "",
        description="path in the part of an object whose keys are the names of tags that could not "
        "be read: they are BAD",
    )


class Named(NamedTuple):
    """One form of the payloads of a product.

    Attributes:
        layout: where the tags stand.
        mark: path that is there in payloads of this form, and not in those of the next ones; empty
            if there is no next one.
        timestamp: path of the source time in a part.
        timestamp_unit: unit of the source times.
        quality: path of the quality in a part.
        quality_map: how qualities are read.
        has_time: whether each tag or part has a source time; without one the arrival counts.
        nanoseconds: path in a tag of nanoseconds that its source time, in whole seconds, has more.
        kinds: the keys of a value that is an object, of which it has the one for its type.
        prefix: path in a part of a text that may stand before the names of its tags, with a dot.
        message_type: path in a part of the type of a message.
        carriers: the types of messages that carry tags; one of another type is passed over.
        by_asset: whether a payload is an object that has a part, or an array of them, for each
            asset: its keys are the assets.
    """

    layout: Layout
    mark: str = ""
    timestamp: str = ""
    timestamp_unit: TimeUnit = "ms"
    quality: str = ""
    quality_map: NamedMap | Mapping[str, str] | None = None
    has_time: bool = True
    nanoseconds: str = ""
    kinds: tuple[str, ...] = ()
    prefix: str = ""
    message_type: str = ""
    carriers: frozenset[str] = frozenset()
    by_asset: bool = False


def _sitewise(groups: str, items: str, name: str, mark: str = "") -> Named:
    """A form of AWS IoT SiteWise, which differ in where the values are; see API_AssetPropertyValue.

    A value of no type, `nullValue`, is missing.
    """
    return Named(
        Layout(
            groups=groups,
            items=items,
            name=name,
            value="value",
            timestamp="timestamp.timeInSeconds",
            quality="quality",
        ),
        mark=mark,
        timestamp_unit="ns",
        quality_map="words",
        nanoseconds="timestamp.offsetInNanos",
        kinds=("doubleValue", "integerValue", "booleanValue", "stringValue"),
    )


def _sparkplug(where: str) -> Named:
    """A form of Cirrus Link's JSON, by the path of the payload of Sparkplug with its dot."""
    return Named(
        Layout(
            items=f"{where}metrics",
            name="name",
            value="value",
            timestamp="timestamp",
            quality="properties.Quality.value",
        ),
        mark=where.removesuffix("."),
        timestamp=f"{where}timestamp",
        quality_map="sparkplug",
    )


# A metric of Telegraf, plugins/serializers/json; its input `opcua` adds the field Quality.
_METRIC: Final = Named(
    Layout(items="fields"),
    timestamp="timestamp",
    timestamp_unit="s",
    quality="fields.Quality",
    quality_map="opc_ua",
    prefix="name",
)


def _opc_ua(layout: Layout, mark: str = "") -> Named:
    """A form of OPC UA PubSub in JSON, OPC 10000-14, 7.2.5, and of OPC Publisher's samples.

    A good status is left out, a bad one has no value. A value in the reversible encoding is an
    object with `Type` and `Body` (OPC 10000-6, 5.4.2.17). Times are optional.
    """
    return Named(
        layout,
        mark=mark,
        timestamp="Timestamp",
        timestamp_unit="iso8601",
        quality="Status",
        quality_map="opc_ua",
        has_time=False,
        kinds=("Value", "Body"),
        message_type="MessageType",
        carriers=frozenset({"ua-data", "ua-keyframe", "ua-deltaframe"}),
    )


def _data_value(groups: str = "", items: str = "") -> Layout:
    """A layout of an object of DataValues by the names of their fields (OPC 10000-6, 5.4.2.18)."""
    return Layout(
        groups=groups,
        items=items,
        value=("Value", "Body"),
        timestamp=("SourceTimestamp", "ServerTimestamp"),
        quality=("StatusCode", "Status"),
    )


# One of OPC Publisher's samples: its name is that which the configuration of the publisher gives.
_SAMPLE: Final = Layout(
    name=("DisplayName", "NodeId"),
    value="Value",
    timestamp=("Value.SourceTimestamp", "Value.ServerTimestamp"),
    quality=("Value.StatusCode", "Value.Status"),
)

NAMED: Final[Mapping[str, tuple[Named, ...]]] = {
    # The standard template of the IoT Gateway, and the advanced one with an object for each tag.
    "kepware": (
        Named(
            Layout(items="values", name="id", value="v", timestamp="t", quality="q"),
            mark="values",
            timestamp="timestamp",
            quality_map="boolean",
        ),
        Named(Layout(name="tagname", value="value", timestamp="timestamp")),
    ),
    # https://api.litmus.io: one tag a message; success is false where it is stale or invalid.
    "litmus": (
        Named(
            Layout(name="tagName", value="value", timestamp="timestamp", quality="success"),
            quality_map="boolean",
        ),
    ),
    # The formats `tags` and ECP have an array, `values` has objects of values and of error codes.
    "neuron": (
        Named(
            Layout(items="tags", name="name", value="value", failed="error"),
            mark="tags",
            timestamp="timestamp",
        ),
        Named(Layout(items="values", failures="errors"), timestamp="timestamp"),
    ),
    # A request of BatchPutAssetPropertyValue, one entry of it, and what SiteWise itself publishes
    # on $aws/sitewise/..., which has the ids of asset and property in place of an alias.
    "sitewise": (
        _sitewise("entries", "propertyValues", "propertyAlias", "entries"),
        _sitewise("", "propertyValues", "propertyAlias", "propertyValues"),
        _sitewise("payload", "values", "propertyId"),
    ),
    # https://thingsboard.io/docs/reference/gateway-api/telemetry: ts may be left out.
    "thingsboard-gateway": (
        Named(Layout(items="values"), timestamp="ts", has_time=False, by_asset=True),
    ),
    "telegraf": (
        _METRIC._replace(layout=Layout(groups="metrics", items="fields"), mark="metrics"),
        _METRIC,
    ),
    # `models.input.tags.lines` makes the same metrics of line protocol; the time may be left out.
    "influx": (_METRIC._replace(timestamp_unit="ns", has_time=False),),
    # A network message, one of its messages alone, a sample, a message without data, and a row of
    # DataValues or of values.
    "opcua": (
        _opc_ua(_data_value("Messages", "Payload"), "Messages"),
        _opc_ua(_data_value("", "Payload"), "Payload"),
        _opc_ua(_SAMPLE, "NodeId"),
        _opc_ua(_SAMPLE, "DisplayName"),
        _opc_ua(_data_value("", "Payload"), "MessageType"),
        # A tag of a row may be called as a field of a message is.
        _opc_ua(_data_value())._replace(timestamp="", quality="", message_type=""),
    ),
    # Siemens Industrial Edge, see `models.input.tags.connector`, which puts names for the ids.
    "siemens": (
        Named(
            Layout(items="vals", name="id", value="val", timestamp="ts", quality="qc"),
            timestamp_unit="iso8601",
            quality_map="siemens_qc",
            has_time=False,
        ),
    ),
    # https://docs.chariot.io/x/YWUmBg: with the topic beside the payload, and the payload alone.
    "sparkplug-json": (_sparkplug("payload."), _sparkplug("")),
}
"""The forms of each product's payloads, by the name of the dialect."""
