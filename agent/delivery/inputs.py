"""Inputs that the agent has received, and those of them that the broker may deliver again.

Pure: no socket, no clock, no thread. Only the hot thread uses what is here.
"""

from collections import deque
from collections.abc import Collection
from enum import StrEnum
from itertools import chain, islice

MAX_REDELIVERIES = 65_535
"""Inputs that may be awaited. A broker cannot have more in flight: packet ids have 16 bits."""
MAX_ANSWERED = 1_000
"""Last acknowledgements of a connection that are remembered, as they may not have arrived."""
Key = tuple[str, bytes]
"""Topic and payload."""
_Trace = tuple[int, str, int, bytes]
"""Packet id, topic, length of the payload, and its end: what tells one message from another."""
_TRACED_BYTES = 256  # a thousand whole payloads could be megabytes; the end has what changes


class Outcome(StrEnum):
    """What has become of an input, counted in the document `metrics`.

    Every input that is finished has one outcome, so that the counters add up to those received. The
    members are text because a dictionary finds text faster than other members of an enumeration.
    """

    WINDOWED = "windowed"
    PREDICTED = "predicted"
    DROPPED = "dropped"
    COMMAND = "command"


class Input:
    """One message that arrived, until its predictions are confirmed.

    Attributes:
        packet_id: packet id to acknowledge; 0 at QoS 0, which is not acknowledged.
        key: topic and payload, by which a redelivery is recognised.
        is_ack_deferred: whether the message is acknowledged only once its predictions are
            confirmed. If not, it is acknowledged as soon as all messages before it are, and its
            predictions are best effort: they are not repeated after a crash.
        waiting: number of its predictions without a confirmation, and one more until
            `Delivery.settle` says that no further prediction comes; 0 means finished.
        serial: number of its record in the journal, from 1; 0 if the journal does not need it.
        outcome: what has become of it so far.
        reason: code of the reason for which it was dropped; empty if it was not.
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
        """Whether all that depends on the input is done, so that the broker may forget it.

        Its predictions are confirmed, and, if it has entered windows, the journal holds it.

        Args:
            kept: highest serial up to which inputs stand in the journal.
        """
        return not self.is_ack_deferred or (not self.waiting and self.serial <= kept)

    def drop(self, reason: str) -> None:
        """Mark the input as dropped, unless another pipeline has made a prediction of it.

        Args:
            reason: code of the reason, from the bounded set of `models.input.reasons`.
        """
        if self.outcome is Outcome.WINDOWED:
            self.outcome = Outcome.DROPPED
            self.reason = reason


class Redeliveries:
    """Inputs of lost connections that the broker may deliver again.

    There are two kinds. An input that was not acknowledged does come again; it is recognised by
    topic and payload. An input whose acknowledgement was sent comes again only if the broker did
    not receive that; it is recognised by its packet id as well, which the broker repeats (MQTT 5,
    4.4), since equal payloads are common and a new message must not pass for an answered one.

    A broker that crashed and goes on from an older state does not know what it has sent already: it
    repeats without the DUP flag. A message under the packet id of an input that was not
    acknowledged is a redelivery nevertheless, because that id may not be used for anything else
    (MQTT 5, 2.2.1).

    Attributes:
        packet_ids: packet ids of the inputs that were not acknowledged. The broker must not use
            them for other messages while it has the session.
    """

    def __init__(self) -> None:
        self.packet_ids: set[int] = set()
        self._open: dict[Key, deque[Input]] = {}
        self._unanswered: dict[Key, Input] = {}
        self._answered: deque[_Trace] = deque(maxlen=MAX_ANSWERED)  # on this connection
        self._acks_in_doubt: set[_Trace] = set()  # answered on the connection before

    @property
    def are_awaited(self) -> bool:
        """Whether inputs that were not acknowledged have not been delivered again yet."""
        return any(self._open.values())

    def claim(self, packet_id: int, key: Key, *, repeated: bool) -> Input | None:
        """Find the input that a message repeats, and await it no longer.

        Args:
            packet_id: packet id of the message.
            key: topic and payload of the message.
            repeated: DUP flag of the message.

        Returns:
            The input as it was, with what is still to be confirmed; a finished one if it was
            acknowledged; None if the message is new.
        """
        for source in self._open.get(key, ()):
            if repeated or source.packet_id == packet_id:
                self._expect_no_more(source)
                return source
        trace = _trace(packet_id, key)
        if not repeated or trace not in self._acks_in_doubt:
            return None
        self._acks_in_doubt.remove(trace)
        answered = Input(packet_id, key)
        answered.waiting = 0
        return answered

    def replace_copy(self, copy: Input, unacked: deque[Input]) -> None:
        """Replace the second copy of an unfinished input by the input itself, in `unacked`.

        If a broker crashes before it has confirmed a reading to the plant, the plant sends it once
        more as a new message, and the windows drop it as a duplicate. But predictions of the first
        copy may not be confirmed yet, so the new message is acknowledged only after them.

        Args:
            copy: an input that was dropped.
            unacked: inputs of this connection that are not acknowledged, in order of arrival.
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
        """Note that an input was acknowledged; whether the broker receives that is not known."""
        self._answered.append(_trace(source.packet_id, source.key))

    def disconnected(self, unacked: Collection[Input], kept: int) -> None:
        """Await the inputs that a lost connection leaves without an acknowledgement.

        Those of earlier connections that have not come again yet may still do so.

        Args:
            unacked: inputs without an acknowledgement, in order of arrival.
            kept: highest serial up to which inputs stand in the journal.
        """
        waiting = islice(chain(unacked, *self._open.values()), MAX_REDELIVERIES)
        self._open = {}
        for source in waiting:
            self._open.setdefault(source.key, deque()).append(source)
        self.packet_ids.update(source.packet_id for source in unacked)
        unanswered = chain(self._unanswered.values(), unacked)
        self._unanswered = {
            source.key: source for source in unanswered if not source.may_be_acknowledged(kept)
        }
        self._acks_in_doubt = set(self._answered)
        self._answered.clear()

    def clear(self) -> None:
        """Await nothing: the broker has no session, so it delivers nothing again."""
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
