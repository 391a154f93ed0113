"""Inputs, and those of them that the broker may deliver again."""

from collections import deque
from collections.abc import Collection
from enum import StrEnum
from itertools import chain, islice

MAX_REDELIVERIES = 65_535  # a broker cannot have more in flight: packet ids are 16 bits
MAX_ANSWERED = 1_000
Key = tuple[str, bytes]
"""Topic and payload."""
_Trace = tuple[int, str, int, bytes]
_TRACED_BYTES = 256  # of a payload: there may be thousands, and each may be long


class Outcome(StrEnum):
    """What became of an input, for the counters that must balance; text, as that is hashed fast."""

    WINDOWED = "windowed"
    PREDICTED = "predicted"
    DROPPED = "dropped"
    COMMAND = "command"


class Input:
    """One message that arrived.

    Attributes:
        packet_id: packet id to acknowledge.
        key: topic and payload, by which a redelivery is recognised.
        is_ack_deferred: whether the message is acknowledged only once its predictions are
            confirmed. If not, it is acknowledged as soon as all messages before it are, and its
            predictions are best effort: they are not repeated after a crash.
        waiting: its predictions that are not confirmed yet, and one more until it is settled.
        serial: in the journal; 0 if it has no need to stand there.
        outcome: what has become of it so far.
        reason: why it was dropped.
    """

    __slots__ = ("is_ack_deferred", "key", "outcome", "packet_id", "reason", "serial", "waiting")

    def __init__(self, packet_id: int, key: Key) -> None:
        self.packet_id = packet_id
        self.key = key
        self.is_ack_deferred = bool(packet_id)
        self.waiting = 1
        self.serial = 0
        self.outcome = Outcome.WINDOWED
        self.reason = ""

    def may_be_acknowledged(self, kept: int) -> bool:
        """Whether nothing is owed for it any more, so that it may be acknowledged.

        Args:
            kept: inputs up to this serial stand in the journal.
        """
        return not self.is_ack_deferred or (not self.waiting and self.serial <= kept)

    def drop(self, reason: str) -> None:
        """Say that it is of no use, unless a prediction came of it elsewhere."""
        if self.outcome is Outcome.WINDOWED:
            self.outcome = Outcome.DROPPED
            self.reason = reason


class Redeliveries:
    """Inputs of connections that were lost.

    Those that were not acknowledged come again, and those whose acknowledgement was lost with the
    connection. The latter are told by their packet id too, which the broker repeats (MQTT 5, 4.4):
    messages with equal payloads are common, and one never seen must not pass for one answered.

    A broker that goes on from an older state after its own crash does not know what it has sent: it
    repeats without DUP. Under the packet id of an open orphan that can be nothing else.

    Attributes:
        packet_ids: packet ids that the broker must not give to anything else while it remembers us.
    """

    def __init__(self) -> None:
        self.packet_ids: set[int] = set()
        self._open: dict[Key, deque[Input]] = {}
        self._unanswered: dict[Key, Input] = {}
        self._answered: deque[_Trace] = deque(maxlen=MAX_ANSWERED)  # on this connection
        self._acks_in_doubt: set[_Trace] = set()  # the same, on the one before

    def claim(self, packet_id: int, key: Key, *, repeated: bool) -> Input | None:
        """The input that comes again; it is an orphan no more."""
        for one in self._open.get(key, ()):
            if repeated or one.packet_id == packet_id:
                self._expect_no_more(one)
                return one
        trace = _trace(packet_id, key)
        if not repeated or trace not in self._acks_in_doubt:
            return None
        self._acks_in_doubt.remove(trace)
        answered = Input(packet_id, key)
        answered.waiting = 0
        return answered

    def replace_copy(self, copy: Input, unacked: deque[Input]) -> None:
        """Let an unanswered input take the place of its second copy among the unacknowledged.

        The crash of a broker may cost the plant a confirmation. It sends the reading once more, as
        a new message, and the windows drop that; yet what the first copy set going may be owed
        still.
        """
        first = self._unanswered.get(copy.key)
        if first is None or first in unacked or copy not in unacked:
            return
        self._expect_no_more(first)
        first.packet_id = copy.packet_id
        unacked[unacked.index(copy)] = first

    def are_answered(self, kept: int) -> bool:
        """Whether all inputs of lost connections may be acknowledged by now.

        Args:
            kept: highest serial up to which inputs stand in the journal.
        """
        while self._unanswered:
            first = next(iter(self._unanswered.values()))
            if not first.may_be_acknowledged(kept):
                return False
            del self._unanswered[first.key]
        return True

    def acknowledged(self, source: Input) -> None:
        """Note that an input was acknowledged, as far as we know."""
        self._answered.append(_trace(source.packet_id, source.key))

    def disconnected(self, unacked: Collection[Input], kept: int) -> None:
        """Take in what the lost connection leaves.

        Redeliveries that have not come back yet may still do so on the next connection.
        """
        waiting = islice(chain(unacked, *self._open.values()), MAX_REDELIVERIES)
        self._open = {}
        for source in waiting:
            self._open.setdefault(source.key, deque()).append(source)
        self.packet_ids.update(source.packet_id for source in unacked)
        unanswered = chain(self._unanswered.values(), unacked)
        self._unanswered = {one.key: one for one in unanswered if not one.may_be_acknowledged(kept)}
        self._acks_in_doubt = set(self._answered)
        self._answered.clear()

    def clear(self) -> None:
        """Expect nothing again: the broker has no session."""
        self.packet_ids.clear()
        self._open.clear()
        self._acks_in_doubt.clear()

    def _expect_no_more(self, source: Input) -> None:
        self.packet_ids.discard(source.packet_id)
        same = self._open.get(source.key)
        if same and source in same:
            same.remove(source)


def _trace(packet_id: int, key: Key) -> _Trace:
    topic, payload = key
    return packet_id, topic, len(payload), payload[-_TRACED_BYTES:]
