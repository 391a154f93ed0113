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
    name: ItemPath = Field(
        "",
        description="path of the name in a tag, or in its part; empty: the tags are an object, and "
        "its keys are their names",
    )
    value: ItemPath = Field(
        "", description="path of the value in a tag; empty: the tag is the value itself"
    )
    timestamp: ItemPath = Field(
        "",
        description="path of the source time in a tag; where a tag has none, that of the input "
        "counts, which is a path in the part",
    )
    quality: ItemPath = Field(
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
    """

    layout: Layout
    mark: str = ""
    timestamp: str = ""
    timestamp_unit: TimeUnit = "ms"
    quality: str = ""
    quality_map: NamedMap | Mapping[str, str] | None = None
    has_time: bool = True


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
}
"""The forms of each product's payloads, by the name of the dialect."""
