"""The gateways of the plant, as far as they have said something on the broker."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import orjson
from pydantic import ValidationError

from models.control.document import Document
from models.control.documents import Current, Desired, Drift, Feedback, Metrics, Status
from models.control.rollout import Evidence
from models.control.topics import PREFIX
from models.errors import MillhandError
from server.console.gateway import GatewayState, counters
from server.console.plant import now_ms
from serving.mqtt.packets import Received

_LEVELS: Final = {
    "status": 3,
    "feedback": 3,
    "metrics": 3,
    "desired": 4,
    "current": 4,
    "evidence": 4,
}
_MAX_NAME: Final = 64
_MINUTE_MS: Final = 60_000  # one of drift is kept a minute, the newest
_Kind = TypeVar("_Kind", bound=Document)


class Mark(NamedTuple):
    """A model that was exchanged for another.

    Attributes:
        timestamp: when it was noticed, milliseconds since 1970.
        stream: name of the stream.
        gateway: id of the gateway.
        version: semantic version of the new model.
        seq: number of the new model.
    """

    timestamp: int
    stream: str
    gateway: str
    version: str
    seq: int

    def document(self) -> dict[str, Any]:
        """The mark as the page is told of it."""
        return {**self._asdict(), "kind": "swap"}


class Seen(NamedTuple):
    """The model that a gateway was last seen to run, by which a later exchange is noticed.

    Attributes:
        stream: name of the stream.
        gateway: id of the gateway.
        timestamp: when it was first seen with this model, milliseconds since 1970.
        seq: number of the model; None while it has none.
    """

    stream: str
    gateway: str
    timestamp: int
    seq: int | None


class DriftPoint(NamedTuple):
    """How far a stream of a gateway was from its training data at one time.

    Attributes:
        timestamp: the minute in which it was said, milliseconds since 1970.
        stream: name of the stream.
        gateway: id of the gateway.
        ratio: the distance as a multiple of its limit; None before the first comparison.
        alarm: whether it is beyond the limit.
        worst: the signal that is furthest, or `score`; empty before the first comparison.
        asset: the asset that shows it; empty likewise.
    """

    timestamp: int
    stream: str
    gateway: str
    ratio: float | None
    alarm: bool
    worst: str
    asset: str


class Gateways:
    """Takes the documents of gateways. The event loop's thread owns it.

    Args:
        max_gateways: gateways that are known at a time; further ones are left out.

    Attributes:
        known: the gateways by id.
        ignored: documents that cannot be used, by reason.
        marks: models that were exchanged since the last `taken`.
        drift: what gateways have said of drift since the last `taken`.
        seen: the models that gateways were seen to run for the first time since the last `taken`.
        running: the gateway that runs a stream, by the stream; empty where several do.
        cleared: gateways that were forgotten because their status was cleared.
        epoch: number of the connection to the broker; it rises when one is lost.
    """

    def __init__(self, max_gateways: int) -> None:
        self.known: dict[str, GatewayState] = {}
        self.ignored: Counter[str] = Counter()
        self.marks: list[Mark] = []
        self.drift: dict[tuple[str, str], DriftPoint] = {}
        self.seen: dict[tuple[str, str], Seen] = {}
        self.running: dict[str, str] = {}
        self.cleared = self.epoch = 0
        self._max_gateways = max_gateways
        self._forgotten: list[GatewayState] = []
        self._changed: set[str] = set()
        self._seqs: dict[tuple[str, str], int | None] = {}

    def restore(self, known: Sequence[Seen]) -> None:
        """Mark what was exchanged since a restart began, and what will prove to be.

        Args:
            known: the models that gateways were seen to run before.
        """
        for one in known:
            key = one.stream, one.gateway
            if key not in self._seqs:
                self._seqs[key] = one.seq
                continue
            # The gateway was heard before the history was read.
            stream = self.known[one.gateway].streams.get(one.stream)
            current = stream.current if stream is not None else None
            if current is not None and current.seq not in (None, one.seq):
                self._mark(one.gateway, current, now_ms())

    def reader(self, topic: str) -> Callable[[Received], None] | None:
        """What takes the messages of a topic; None if it is none of a gateway's."""
        levels = topic.split("/")
        if levels[0] != PREFIX or len(levels) not in (3, 4):
            return None
        name, kind = levels[1], levels[2]
        if _LEVELS.get(kind) != len(levels) or not 0 < len(name) <= _MAX_NAME:
            return None
        take: Mapping[str, Callable[[GatewayState, Received], None]] = {
            "feedback": self._take_feedback,
            "metrics": self._take_metrics,
            "desired": self._take_desired,
            "current": self._take_current,
            "evidence": self._take_evidence,
        }
        if kind == "status":
            return lambda message: self._take_or_forget(name, message)
        return lambda message: self._take(name, take[kind], message)

    def changed(self, revision: int) -> Sequence[GatewayState]:
        """The gateways of which something has arrived since the last call, or that are gone."""
        changed, self._changed = self._changed, set()
        forgotten, self._forgotten = self._forgotten, []
        states = [*forgotten, *(self.known[name] for name in changed)]
        for state in states:
            state.revision = revision
        if states:
            runs = Counter(stream for one in self.known.values() for stream in one.streams)
            self.running = {
                stream: name if runs[stream] == 1 else ""
                for name, one in self.known.items()
                for stream in one.streams
            }
        return states

    def counters(self, stream: str) -> dict[str, Any]:
        """The counters of all gateways that run a stream, by their ids."""
        return {
            name: counters(one.metrics)
            for name, one in self.known.items()
            if one.metrics is not None and stream in one.streams
        }

    def taken(self) -> tuple[Sequence[Mark], Sequence[DriftPoint], Sequence[Seen]]:
        """Hand over marks, drift and the models seen; all are empty afterwards."""
        marks, self.marks = self.marks, []
        drift, self.drift = self.drift, {}
        seen, self.seen = self.seen, {}
        return marks, list(drift.values()), list(seen.values())

    def _take_or_forget(self, name: str, message: Received) -> None:
        if message.payload:
            self._take(name, self._take_status, message)
        else:
            self._forget(name)

    def _take(
        self, name: str, take: Callable[[GatewayState, Received], None], message: Received
    ) -> None:
        state = self.known.get(name)
        if state is None:
            if not message.payload:
                return  # what a gateway has left behind is cleared
            if len(self.known) >= self._max_gateways:
                self.ignored["max_gateways"] += 1
                return
            state = GatewayState(name)
        try:
            take(state, message)
        except (ValidationError, MillhandError, orjson.JSONEncodeError):
            self.ignored["document"] += 1
            return
        self.known[name] = state
        state.heard_ms, state.epoch = message.at_ns // 1_000_000, self.epoch
        self._changed.add(name)

    def _forget(self, name: str) -> None:
        """Forget a gateway whose retained status was cleared: it is no more."""
        state = self.known.pop(name, None)
        if state is None:
            return
        state.is_gone = True
        self._forgotten.append(state)
        self._changed.discard(name)
        self._seqs = {key: seq for key, seq in self._seqs.items() if key[1] != name}
        self.cleared += 1

    def _take_status(self, state: GatewayState, message: Received) -> None:
        state.set_status(_read(Status, message), message.at_ns // 1_000_000)

    def _take_feedback(self, state: GatewayState, message: Received) -> None:
        state.add_feedback(_read(Feedback, message))

    def _take_metrics(self, state: GatewayState, message: Received) -> None:
        state.metrics = metrics = _read(Metrics, message)
        state.metrics_ms = at_ms = message.at_ns // 1_000_000
        for stream, one in metrics.streams.items():
            state.stream(stream)
            if one.drift is not None:
                self.drift[state.name, stream] = _point(at_ms, stream, state.name, one.drift)

    def _take_desired(self, state: GatewayState, message: Received) -> None:
        name = message.topic.rpartition("/")[2]
        if message.payload:
            state.stream(name).desired = Desired.read(name, message.payload)
        else:
            state.clear(name, "desired")

    def _take_current(self, state: GatewayState, message: Received) -> None:
        if not message.payload:
            state.clear(message.topic.rpartition("/")[2], "current")
            return
        current = _read(Current, message)
        stream = state.stream(current.stream)
        stream.current = current
        if current.stream in state.streams:  # a gateway may have named too many
            self._compare(state.name, current, message.at_ns // 1_000_000)

    def _take_evidence(self, state: GatewayState, message: Received) -> None:
        name = message.topic.rpartition("/")[2]
        if message.payload:
            state.stream(name).evidence = _read(Evidence, message)
        else:
            state.clear(name, "evidence")

    def _compare(self, gateway: str, current: Current, at_ms: int) -> None:
        """Mark a model that is another than the one before, also if that was before a restart."""
        key = current.stream, gateway
        is_known = key in self._seqs
        before = self._seqs.get(key)
        if is_known and current.seq in (None, before):
            return  # a gateway that has lost its model, and gets it again, has exchanged nothing
        if is_known:
            self._mark(gateway, current, at_ms)
        self._seqs[key] = current.seq
        self.seen[key] = Seen(current.stream, gateway, at_ms, current.seq)

    def _mark(self, gateway: str, current: Current, at_ms: int) -> None:
        if current.seq is not None:
            self.marks.append(Mark(at_ms, current.stream, gateway, current.version, current.seq))


def _read(kind: type[_Kind], message: Received) -> _Kind:
    """A document of a gateway.

    Raises:
        ValidationError: it is not JSON, or not such a document.
        JSONEncodeError: it has a number beyond 64 bits, which no browser could be sent.
    """
    document = kind.model_validate_json(message.payload)
    orjson.dumps(document.model_dump())
    return document


def _point(at_ms: int, stream: str, gateway: str, drift: Drift) -> DriftPoint:
    worst, asset = drift.worst or "", drift.asset or ""
    return DriftPoint(
        at_ms - at_ms % _MINUTE_MS, stream, gateway, drift.ratio, drift.alarm, worst, asset
    )
