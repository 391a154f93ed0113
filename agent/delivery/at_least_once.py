"""Delivery at least once, in order: which inputs wait for which predictions.

    input arrives ──► predictions posted ──► published ──► PUBACK of the broker ──► PUBACK of input

Rules (section numbers are those of MQTT 5):

- An input is acknowledged once the broker has confirmed every prediction made of it, and, if it has
  entered windows, once the journal holds it (`kept`). What is not acknowledged, the broker keeps
  and delivers again: it is the buffer, and a crash of the agent loses nothing (ADR 7).
- Inputs are acknowledged in their order of arrival (4.6), and only on the connection on which they
  arrived: after a reconnect the same packet id may stand for another message.
- After a lost connection, publishes without a PUBACK are sent again in their order, with the same
  packet id and the DUP flag if the broker still has the session (4.4).
- An input that the broker delivers again is recognised (`agent.delivery.inputs.Redeliveries`), and
  goes on where its first delivery was, so that no reading enters a window twice. After a crash the
  inputs in the journal are awaited in the same way (`agent.journal.replay`).
- A publish that the broker refuses for good (`FINAL_REFUSALS`) is dropped and counted. Any other
  refusal blocks its topic, so that order is kept, until `retry`.

For example: a reading arrives with packet id 7. Its prediction is posted, `pump` publishes it with
packet id 32,768, `confirmed` takes the PUBACK for that, and `acknowledgeable` then returns 7.

Only the hot thread calls this code (`agent/exchange.py`). Nothing here blocks, reads a clock or
touches a socket, and a broker that refuses or vanishes is not raised as an error.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import islice

from agent.delivery.inputs import Input, Outcome, Redeliveries
from agent.delivery.outgoing import Outgoing, Publisher, packet_bytes
from serving.mqtt.errors import refusal_of
from serving.mqtt.packets import FIRST_PACKET_ID, LAST_PACKET_ID

MAX_DOCUMENTS = 1_000  # of the control plane, waiting; beyond, the oldest is dropped
ALL_KEPT = 2**63  # as `Delivery.kept`: no input waits for the journal

FINAL_REFUSALS = {0x90: "topic_invalid", 0x95: "too_large", 0x99: "payload_invalid"}
"""PUBACK reason codes that repeating the publish cannot cure (MQTT 5, 3.4.2.1)."""


class Delivery:
    """Inputs to acknowledge and predictions to publish, of one agent.

    Args:
        max_in_flight: publishes that may wait for the broker's PUBACK at a time. The broker's
            Receive Maximum may be lower, and then counts (MQTT 5, 4.9).
        max_outbox: best-effort predictions, of inputs at QoS 0 or acknowledged early, that may wait
            to be published; beyond, the oldest is dropped and counted as `outbox_full`.
        max_refused: inputs that may wait for their acknowledgement behind one whose prediction the
            broker refuses; beyond, that prediction is dropped and counted as `refused`.

    Attributes:
        outcomes: number of finished inputs, by outcome.
        dropped: number of inputs of which no use was made, by reason code.
        redelivered: number of inputs that were delivered again and recognised.
        kept: highest serial up to which inputs stand in the journal.
        acked: serial up to which inputs of the journal are acknowledged.
    """

    def __init__(self, max_in_flight: int, max_outbox: int, max_refused: int = 10) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.dropped: Counter[str] = Counter()
        self.redelivered = self.acked = 0
        self.kept = ALL_KEPT
        self._max_in_flight = max_in_flight
        self._unacked: deque[Input] = deque()
        self._redeliveries = Redeliveries()
        self._unpublished: deque[Outgoing] = deque()
        self._documents: deque[Outgoing] = deque(maxlen=MAX_DOCUMENTS)
        self._best_effort: deque[Outgoing] = deque()
        self._max_outbox, self._max_refused = max_outbox, max_refused
        self._in_flight: dict[int, Outgoing] = {}
        self._open, self._packet_id = 0, LAST_PACKET_ID  # the packet id is the last one used
        self._reserved: set[int] = set()  # packet ids of publishes to repeat on this connection
        self._refused: deque[Outgoing] = deque()  # refused by the broker, for now
        self._blocked: deque[Outgoing] = deque()  # later publishes on the topics of those
        self._blocked_topics: set[str] = set()
        self._refused_topics: dict[str, int] = {}

    @property
    def refusal(self) -> str:
        """Which topic the broker refuses for now, in words; empty if there is none."""
        for topic, reason_code in self._refused_topics.items():
            return f"{topic} is refused by the broker: {refusal_of(reason_code)}"
        return ""

    @property
    def waiting(self) -> int:
        """Number of inputs that arrived and are not finished."""
        return self._open

    @property
    def unacknowledged(self) -> int:
        """Number of messages that arrived on this connection and are not acknowledged."""
        return len(self._unacked)

    @property
    def oldest_noted(self) -> int | None:
        """Lowest serial of the inputs in the journal that are not acknowledged; None without."""
        return min((source.serial for source in self._unacked if source.serial), default=None)

    @property
    def idle(self) -> bool:
        """Whether nothing is left to publish, to confirm or to acknowledge."""
        queued = self._unpublished or self._documents or self._best_effort
        return not (queued or self._in_flight or self._unacked)

    @property
    def is_done(self) -> bool:
        """Whether every input is answered and acknowledged, and none is awaited once more."""
        return self.idle and not self._open and not self._redeliveries.are_awaited

    def arrived(
        self, topic: str, payload: bytes, packet_id: int, *, repeated: bool
    ) -> Input | None:
        """Note a message that arrived.

        Args:
            topic: topic name.
            payload: content of the message; kept in memory until the input is acknowledged.
            packet_id: packet id to acknowledge; 0 for QoS 0, which is never acknowledged.
            repeated: the DUP flag.

        Returns:
            The input, for which the caller has to call `settle` once. None for a redelivery: its
            readings are in the windows already, and the caller has nothing to do.
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
        """Queue a message for `pump`; its input, not settled yet, waits until it is confirmed."""
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
        """Say that no more predictions of `sources` will be posted; once for every input.

        Without it neither the input nor those behind it are acknowledged: the broker stops sending.
        """
        for source in sources:
            source.waiting -= 1
            if not source.waiting:
                self._finish(source)
                if source.outcome is Outcome.DROPPED:
                    self._redeliveries.replace_copy(source, self._unacked)

    def pump(self, publisher: Publisher) -> None:
        """Publish what waits, until as many publishes as allowed are unconfirmed.

        Documents of the control plane go first, then predictions, in order. Best-effort predictions
        wait here, where `max_outbox` bounds their number, while the socket takes no more.
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
            elif packet_bytes(outgoing) > publisher.max_packet_bytes:
                self._give_up(outgoing, "too_large")
            else:
                self._publish(outgoing, publisher)

    def confirmed(self, packet_id: int, reason_code: int) -> None:
        """Take a PUBACK of the broker; a packet id that is not in flight is ignored.

        A reason code from 0x80 is a refusal (MQTT 5, 2.4). One that may pass (not authorised, quota
        exceeded) keeps the prediction, and blocks its topic until `retry`. MQTT 3.1.1 knows only 0.
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
        """Have refused predictions published again, before newer ones; call it now and then."""
        # A topic with a publish in flight stays blocked: that one may be refused as well, and would
        # then be repeated behind newer ones.
        self._blocked_topics &= {outgoing.topic for outgoing in self._in_flight.values()}
        kept = [*self._refused, *self._blocked]
        self._refused = deque(old for old in self._refused if old.topic in self._blocked_topics)
        self._blocked = deque(old for old in self._blocked if old.topic in self._blocked_topics)
        again = [old for old in kept if old.topic not in self._blocked_topics]
        self._unpublished.extendleft(reversed(again))

    def acknowledgeable(self) -> Iterator[int]:
        """Yield the packet ids to acknowledge now, in order of arrival (MQTT 5, 4.6).

        Each counts as acknowledged once it is yielded, so the caller must queue its PUBACK.
        """
        unacked, kept = self._unacked, self.kept
        # A restart takes inputs up to `acked` for done. So it must not pass an input of a lost
        # connection whose predictions are still to be confirmed.
        may_note = self._redeliveries.are_answered(kept)
        while unacked and unacked[0].may_be_acknowledged(kept):
            source = unacked.popleft()
            self._redeliveries.acknowledged(source)
            if source.serial and may_note:
                self.acked = max(self.acked, source.serial)
            yield source.packet_id

    def answered(self, source: Input) -> None:
        """Note an input that was acknowledged before a restart, and may be delivered again."""
        self._redeliveries.acknowledged(source)

    def restored(self, acked: int) -> None:
        """After a restart, await the inputs of the journal beyond the serial `acked`."""
        self.acked = acked
        self.connection_lost()
        # The journal may not know of the last acknowledgements before the crash, and the broker is
        # free to use the packet ids of those messages for others (MQTT 5, 2.2.1).
        self._redeliveries.packet_ids.clear()

    def connection_lost(self) -> None:
        """Have unconfirmed publishes repeated, and await inputs without an acknowledgement."""
        # In this order each topic's publishes are as they were posted.
        again = [*self._refused, *self._in_flight.values(), *self._blocked]
        for queue in (self._refused, self._in_flight, self._blocked, self._blocked_topics):
            queue.clear()
        self._unpublished.extendleft(old for old in reversed(again) if old.source is not None)
        documents = [*(old for old in again if old.source is None), *self._documents]
        self._documents = deque(documents, maxlen=MAX_DOCUMENTS)
        self._redeliveries.disconnected(self._unacked, self.kept)
        self._unacked.clear()

    def connected(self, *, session_present: bool) -> None:
        """Note that the broker has accepted a connection; `pump` may publish from now on.

        Args:
            session_present: whether the broker still has the session (MQTT 5, 3.2.2.1.1). Without
                it no input is delivered again, and publishes are repeated under new packet ids.
        """
        if not session_present:
            self._redeliveries.clear()
        again = [*self._unpublished, *self._documents]
        for outgoing in again:
            outgoing.packet_id = outgoing.packet_id if session_present else 0
            outgoing.repeated = bool(outgoing.packet_id)
        self._reserved = {old.packet_id for old in again if old.packet_id}

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
        """The next packet id that no publish in flight has (MQTT 5, 2.2.1)."""
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
        """Keep a publish for `retry`.

        Best-effort predictions are dropped instead, because nothing bounds their number. Of the
        documents on a topic only the latest is kept. `_unblock` bounds the other predictions.
        """
        source = outgoing.source
        if source is not None and not source.is_ack_deferred:
            self._give_up(outgoing, "refused")
            return
        if source is None:
            for old in [one for one in queue if one.source is None and one.topic == outgoing.topic]:
                queue.remove(old)
        queue.append(outgoing)

    def _unblock(self) -> None:
        """Drop refused predictions for which more than `max_refused` acknowledgements wait."""
        surplus = len(self._unacked) - self._max_refused
        if surplus <= 0:
            return
        first = {id(source) for source in islice(self._unacked, surplus)}
        for queue in (self._refused, self._blocked):
            for refused in [waiting for waiting in queue if id(waiting.source) in first]:
                queue.remove(refused)
                self._give_up(refused, "refused")

    def _give_up(self, outgoing: Outgoing, reason: str) -> None:
        """Drop a publish; its input counts as dropped for this reason."""
        if outgoing.source is not None:
            outgoing.source.outcome = Outcome.DROPPED
            outgoing.source.reason = reason
        self._release(outgoing.source)

    def _release(self, source: Input | None) -> None:
        """Note that a publish of the input is done; after the last one the input is finished."""
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
