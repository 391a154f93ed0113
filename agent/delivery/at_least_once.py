"""At least once, in order: which inputs wait for which predictions, and what may be acknowledged.

    input arrives ──► predictions posted ──► published ──► confirmed by the broker ──► input acked

An input is acknowledged once the broker has confirmed every prediction that it triggered, in the
order of arrival (MQTT 5, 4.6), and only on the connection it came on. So the broker is the buffer,
and a crash loses nothing: what was not acknowledged comes again.

When the connection is lost, predictions without a confirmation are published again, under their
packet ids if the broker still has the session (MQTT 5, 4.4), and inputs without an acknowledgement
become orphans. The broker delivers those again; each is recognised by topic and payload and takes
over what its first delivery already set going, so that no reading enters a window twice. The same
holds after a crash: `agent.journal.replay` makes orphans of the inputs that the journal has noted,
and an input that has entered windows is acknowledged only once the journal holds it (`kept`).

Pure: no socket, no clock, no thread.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from agent.delivery.inputs import Input, Outcome, Redeliveries
from agent.delivery.outgoing import Outgoing, Publisher
from agent.mqtt.packets import FIRST_PACKET_ID, LAST_PACKET_ID

MAX_DOCUMENTS = 1_000
ALL_KEPT = 2**63

FINAL_REFUSALS = {0x90: "topic_invalid", 0x95: "too_large", 0x99: "payload_invalid"}
"""PUBACK reason codes that repeating the publish cannot cure (MQTT 5, 3.4.2.1)."""


class Delivery:
    """Inputs to acknowledge and predictions to publish, of one agent.

    Args:
        max_in_flight: publishes that may wait for the broker's confirmation at a time.
        max_outbox: predictions of inputs that the broker does not hold (QoS 0, or given back
            early) kept while it does not keep up; beyond, the oldest is dropped and counted as
            `outbox_full`. Of control documents the last `MAX_DOCUMENTS` are kept.
        max_refused: inputs that may wait behind one whose prediction the broker refuses; beyond,
            that prediction is dropped and counted as `refused`.

    Attributes:
        outcomes: finished inputs by outcome.
        dropped: inputs from which nothing came, by reason.
        redelivered: inputs that came again and were recognised.
        kept: inputs up to this serial stand in the journal.
        acked: serial of the last input that was acknowledged.
    """

    def __init__(self, max_in_flight: int, max_outbox: int, max_refused: int = 10) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.dropped: Counter[str] = Counter()
        self.redelivered = self.acked = 0
        self.kept = ALL_KEPT
        self._max_in_flight = max_in_flight
        self._open = 0
        self._unacked: deque[Input] = deque()
        self._redeliveries = Redeliveries()
        self._unpublished: deque[Outgoing] = deque()
        self._documents: deque[Outgoing] = deque(maxlen=MAX_DOCUMENTS)
        self._best_effort: deque[Outgoing] = deque()
        self._max_outbox, self._max_refused = max_outbox, max_refused
        self._in_flight: dict[int, Outgoing] = {}
        self._packet_id = LAST_PACKET_ID  # the last that was given away
        self._reserved: set[int] = set()  # of publishes to be repeated on this connection
        self._refused: deque[Outgoing] = deque()  # by the broker
        self._blocked: deque[Outgoing] = deque()  # behind those, for the sake of order
        self._blocked_topics: set[str] = set()
        self._refused_topics: dict[str, int] = {}

    @property
    def refusal(self) -> str:
        """The first topic that the broker refuses for now, in words; empty if there is none."""
        for topic, reason_code in self._refused_topics.items():
            return f"{topic} is refused with reason code {reason_code:#04x}"
        return ""

    @property
    def waiting(self) -> int:
        """Inputs that arrived and are not finished."""
        return self._open

    @property
    def oldest_noted(self) -> int | None:
        """Serial of the first input in the journal that is not acknowledged, if there is one."""
        return min((source.serial for source in self._unacked if source.serial), default=None)

    @property
    def idle(self) -> bool:
        """Whether nothing is left to publish, to confirm or to acknowledge."""
        queued = self._unpublished or self._documents or self._best_effort
        return not (queued or self._in_flight or self._unacked)

    def arrived(
        self, topic: str, payload: bytes, packet_id: int, *, repeated: bool
    ) -> Input | None:
        """Note an input.

        Args:
            topic: its topic.
            payload: its payload; kept until the input is acknowledged.
            packet_id: packet id to acknowledge; 0 for QoS 0, which is never acknowledged.
            repeated: the DUP flag.

        Returns:
            The input to work on, or None if it is a redelivery that is being worked on already.
        """
        key = (topic, payload)
        if repeated or packet_id in self._redeliveries.packet_ids:
            known = self._redeliveries.claim(packet_id, key, repeated=repeated)
            if known is not None:
                known.packet_id = packet_id
                self._unacked.append(known)
                self.redelivered += 1
                return None
        source = Input(packet_id, key)
        self._open += 1
        if packet_id:
            self._unacked.append(source)
        return source

    def post(self, outgoing: Outgoing) -> None:
        """Owe a publish; the input it belongs to waits for its confirmation."""
        source = outgoing.source
        if source is None:
            self._documents.append(outgoing)
            return
        source.waiting += 1
        source.outcome = Outcome.PREDICTED
        if source.is_ack_deferred:
            self._unpublished.append(outgoing)
            return
        self._best_effort.append(outgoing)
        if len(self._best_effort) > self._max_outbox:
            self._give_up(self._best_effort.popleft(), "outbox_full")

    def settle(self, sources: Iterable[Input]) -> None:
        """Say that no more predictions of `sources` will be posted; once for every input."""
        for source in sources:
            source.waiting -= 1
            if not source.waiting:
                self._finish(source)
                if source.outcome is Outcome.DROPPED:
                    self._redeliveries.replace_copy(source, self._unacked)

    def pump(self, publisher: Publisher) -> None:
        """Publish what is owed, as far as the window of unconfirmed publishes allows.

        Predictions of inputs that the broker does not hold wait here, where their number is
        bounded, while the socket does not take what is queued already.
        """
        if self._refused or self._blocked:
            self._unblock()
        limit = min(self._max_in_flight, publisher.max_in_flight)
        best_effort = self._best_effort
        if best_effort and publisher.wants_write:
            best_effort = deque()
        while queue := self._documents or self._unpublished or best_effort:
            if len(self._in_flight) >= limit:
                break
            outgoing = queue.popleft()
            if self._blocked_topics and outgoing.topic in self._blocked_topics:
                self._keep(outgoing, self._blocked)
            elif _packet_bytes(outgoing) > publisher.max_packet_bytes:
                self._give_up(outgoing, "too_large")
            else:
                self._publish(outgoing, publisher)

    def confirmed(self, packet_id: int, reason_code: int) -> None:
        """Take the broker's PUBACK; a refusal (reason code from 0x80) is no success.

        A refusal that may pass (not authorised, quota exceeded) keeps the prediction and blocks
        its topic until `retry`, so that order is kept and nothing is lost that can be kept.
        """
        outgoing = self._in_flight.pop(packet_id, None)
        if outgoing is None:
            return
        outgoing.packet_id, outgoing.repeated = 0, False
        if reason_code >= 0x80 and reason_code not in FINAL_REFUSALS:  # noqa: PLR2004  MQTT 5, 2.4
            self._refused_topics[outgoing.topic] = reason_code
            self._blocked_topics.add(outgoing.topic)
            self._keep(outgoing, self._refused)
            return
        self._refused_topics.pop(outgoing.topic, None)
        if reason_code in FINAL_REFUSALS:
            self._give_up(outgoing, FINAL_REFUSALS[reason_code])
        else:
            self._release(outgoing.source)

    def retry(self) -> None:
        """Try refused predictions again, before newer ones.

        A topic of which something is in flight has to wait: its refusal may be on the way.
        """
        self._blocked_topics &= {one.topic for one in self._in_flight.values()}
        kept = [*self._refused, *self._blocked]
        self._refused = deque(one for one in self._refused if one.topic in self._blocked_topics)
        self._blocked = deque(one for one in self._blocked if one.topic in self._blocked_topics)
        again = [one for one in kept if one.topic not in self._blocked_topics]
        self._unpublished.extendleft(reversed(again))

    def acknowledgeable(self) -> Iterator[int]:
        """Packet ids that may be acknowledged now, in order of arrival."""
        unacked, kept = self._unacked, self.kept
        # What a crash would have to make up for begins with what lost connections left unanswered.
        may_note = self._redeliveries.are_answered(kept)
        while unacked and unacked[0].may_be_acknowledged(kept):
            source = unacked.popleft()
            self._redeliveries.acknowledged(source)
            if source.serial and may_note:
                self.acked = max(self.acked, source.serial)
            yield source.packet_id

    def answered(self, source: Input) -> None:
        """Note an input that was acknowledged before a restart."""
        self._redeliveries.acknowledged(source)

    def restored(self, acked: int) -> None:
        """Await what the journal has left open; up to `acked` it knows of the acknowledgements."""
        self.acked = acked
        self.connection_lost()
        # The journal may not know of the last acknowledgements before the crash, and the broker is
        # free to use the packet ids of those messages for others (MQTT 5, 2.2.1).
        self._redeliveries.packet_ids.clear()

    def connection_lost(self) -> None:
        """Publish again what was not confirmed, await what was not acknowledged."""
        # In the order in which they were posted, topic by topic.
        again = [*self._refused, *self._in_flight.values(), *self._blocked]
        for queue in (self._refused, self._in_flight, self._blocked, self._blocked_topics):
            queue.clear()
        self._unpublished.extendleft(one for one in reversed(again) if one.source is not None)
        documents = [*(one for one in again if one.source is None), *self._documents]
        self._documents = deque(documents, maxlen=MAX_DOCUMENTS)
        self._redeliveries.disconnected(self._unacked, self.kept)
        self._unacked.clear()

    def connected(self, *, session_present: bool) -> None:
        """Begin a connection; without a session on the broker no orphan will come again."""
        if not session_present:
            self._redeliveries.clear()
        for outgoing in chain(self._unpublished, self._documents):
            if not session_present:
                outgoing.packet_id = 0
            outgoing.repeated = bool(outgoing.packet_id)
        self._reserved = {
            one.packet_id for one in chain(self._unpublished, self._documents) if one.packet_id
        }

    def _publish(self, outgoing: Outgoing, publisher: Publisher) -> None:
        if not outgoing.qos:
            publisher.publish(outgoing)
            self._release(outgoing.source)
            return
        if not outgoing.packet_id:
            outgoing.packet_id = self._free_packet_id()
        publisher.publish(outgoing)
        self._in_flight[outgoing.packet_id] = outgoing
        self._reserved.discard(outgoing.packet_id)

    def _free_packet_id(self) -> int:
        packet_id = self._packet_id + 1
        while (
            packet_id > LAST_PACKET_ID
            or packet_id in self._in_flight
            or packet_id in self._reserved
        ):
            packet_id = packet_id + 1 if packet_id < LAST_PACKET_ID else FIRST_PACKET_ID
        self._packet_id = packet_id
        return packet_id

    def _keep(self, outgoing: Outgoing, queue: deque[Outgoing]) -> None:
        """Keep a publish for `retry`, as far as that is bounded.

        Of inputs that the broker does not hold there is no end, and of a control document only the
        latest is of use. Those that it holds are given up by `_unblock`.
        """
        source = outgoing.source
        if source is not None and not source.is_ack_deferred:
            self._give_up(outgoing, "refused")
            return
        if source is None:
            older = [one for one in queue if one.source is None and one.topic == outgoing.topic]
            for one in older:
                queue.remove(one)
        queue.append(outgoing)

    def _unblock(self) -> None:
        """Give up what is refused and holds back too many acknowledgements."""
        surplus = len(self._unacked) - self._max_refused
        if surplus <= 0:
            return
        first = {id(source) for source in islice(self._unacked, surplus)}
        for queue in (self._refused, self._blocked):
            for one in [one for one in queue if id(one.source) in first]:
                queue.remove(one)
                self._give_up(one, "refused")

    def _give_up(self, outgoing: Outgoing, reason: str) -> None:
        if outgoing.source is not None:
            outgoing.source.outcome = Outcome.DROPPED
            outgoing.source.reason = reason
        self._release(outgoing.source)

    def _release(self, source: Input | None) -> None:
        """One thing less that the input waits for; after the last it is finished."""
        if source is None:
            return
        source.waiting -= 1
        if not source.waiting:
            self._finish(source)

    def _finish(self, source: Input) -> None:
        self.outcomes[source.outcome] += 1
        if source.outcome is Outcome.DROPPED:
            self.dropped[source.reason] += 1
        self._open -= 1


def _packet_bytes(outgoing: Outgoing) -> int:
    """The size of the PUBLISH: at most 16 bytes beside topic and payload, without properties."""
    topic = outgoing.topic
    topic_bytes = len(topic) if topic.isascii() else len(topic.encode())
    return topic_bytes + len(outgoing.payload) + 16
