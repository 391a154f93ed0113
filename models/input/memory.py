"""What an input has learned from messages and needs to read later ones, such as names for ids."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from models.input.options import Dialect
from models.input.source import Input


class Requests(NamedTuple):
    """What is asked of sources.

    Attributes:
        asked: topics and payloads.
        put_off: how many more would be asked if it were allowed; they come up again.
    """

    asked: Sequence[tuple[str, bytes]] = ()
    put_off: int = 0


class Memory(Protocol):
    """What one input has learned.

    It belongs to the pipeline and outlives a change of the model. It is saved with the states of
    the windows in the journal, and messages that have changed it since are replayed. A message may
    be read twice, so that what it teaches must be the same the second time.
    """

    def dump(self) -> list[Any]:
        """All that is remembered, as numbers, texts and lists of them."""

    def load(self, dumped: list[Any]) -> None:
        """Restore what `dump` has returned; what is remembered now is replaced."""

    def requests(self, now_s: float, most: int) -> Requests:
        """What to ask of the sources; often nothing.

        Args:
            now_s: monotonic seconds.
            most: how many requests are allowed now.
        """


def _nodes(source: Input) -> Memory:
    # Imported here, as few gateways need it and every start would pay for it.
    from models.input.sparkplug.nodes import Nodes  # noqa: PLC0415  see above

    return Nodes(source)


def _connectors(source: Input) -> Memory:
    from models.input.tags.connector import ConnectorNames  # noqa: PLC0415  as above

    return ConnectorNames(source)


_KINDS: Final[Mapping[Dialect, Callable[[Input], Memory]]] = {
    "sparkplug": _nodes,
    "siemens": _connectors,
}


class Memories:
    """What each input of a pipeline has learned; most need to learn nothing.

    Args:
        inputs: the inputs of the pipeline.
    """

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._by_input = {
            number: _KINDS[source.dialect](source)
            for number, source in enumerate(inputs)
            if source.dialect in _KINDS
        }

    def of(self, number: int) -> Memory | None:
        """The memory of an input, by its index in the pipeline; None if it needs none."""
        return self._by_input.get(number)

    def dump(self) -> list[list[Any]]:
        """What each memory dumps, in the order of the inputs."""
        return [memory.dump() for memory in self._by_input.values()]

    def load(self, dumped: Sequence[list[Any]]) -> None:
        """Restore what `dump` has returned for the same inputs."""
        for memory, its_own in zip(self._by_input.values(), dumped, strict=True):
            memory.load(its_own)

    def requests(self, now_s: float, most: int) -> Requests:
        """What the memories have to ask of the sources, see `Memory.requests`."""
        asked: list[tuple[str, bytes]] = []
        put_off = 0
        for memory in self._by_input.values():
            found = memory.requests(now_s, most - len(asked))
            asked += found.asked
            put_off += found.put_off
        return Requests(asked, put_off)
