"""The recognisers, one for each payload format, in the order in which they are asked.

This is the place for another one: an object with the members of `Recogniser`, in front of those
that would take its payloads too. One whose payload format the agent does not have is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, get_args

from agent.learn.formats import products
from agent.learn.formats.blocks import Blocks
from agent.learn.formats.connectors import Connectors, names_on
from agent.learn.formats.json_rows import JsonRows
from agent.learn.formats.scalars import ObjectScalars, PlainScalars, Umh
from agent.learn.formats.sparkplug_nodes import SparkplugNodes
from agent.learn.formats.tag_lists import TagList
from agent.learn.formats.thingsboard import ThingsBoard
from agent.learn.group import Group
from agent.learn.seen.encoding import NOT_JSON
from agent.learn.seen.message import Message
from agent.learn.seen.wire import Wire
from agent.learn.source import Source
from models.input.source import Input

DIALECTS: Final = frozenset(get_args(Input.model_fields["dialect"].annotation))
"""The payload formats that this release reads."""


class Recogniser(Protocol):
    """Recognises one payload format."""

    @property
    def dialect(self) -> str:
        """The payload format, as `dialect` has it."""

    def family(self, message: Message) -> str | None:
        """What kind of its payloads a message is, by which topics are put together; else None."""

    def sources(self, group: Group) -> list[Source]:
        """The inputs that read the topics of a group; none if none can."""


@dataclass(frozen=True, slots=True)
class InfluxLines(TagList):
    """Lines of text, which are no JSON."""

    def _tags(self, message: Message) -> Sequence[products.Tag]:
        return TagList._tags(self, _as_text(message))  # noqa: SLF001  of the class that this one extends


def _as_text(message: Message) -> Message:
    if message.document is not NOT_JSON:
        return message._replace(document=None)
    try:
        return message._replace(document=message.payload.decode())
    except UnicodeDecodeError:
        return message._replace(document=None)


_OTHERS: Final[tuple[Recogniser, ...]] = (
    SparkplugNodes(),
    TagList("sparkplug-json", products.sparkplug_json),
    TagList("kepware", products.kepware),
    TagList("neuron", products.neuron),
    TagList("litmus", products.litmus),
    TagList("opcua", products.opcua),
    TagList("telegraf", products.telegraf),
    TagList("sitewise", products.sitewise),
    InfluxLines("influx", products.influx),
    TagList("thingsboard-gateway", products.thingsboard_gateway),
    Umh(),
    ThingsBoard(),
    Blocks(),
    PlainScalars(),
    ObjectScalars(),
    JsonRows(),
)


def recognisers(wire: Wire) -> list[Recogniser]:
    """Those whose payload format this release reads.

    Args:
        wire: all that was heard, in which some payloads have their names elsewhere.
    """
    every = (Connectors(names_on(wire)), *_OTHERS)
    return [one for one in every if one.dialect in DIALECTS]
