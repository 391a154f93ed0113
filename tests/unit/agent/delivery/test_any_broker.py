"""At least once, in order, under whatever a broker may do, in any order."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from agent.delivery.at_least_once import Delivery
from agent.delivery.inputs import Outcome
from agent.delivery.outgoing import Outgoing
from tests.kit.broker.fake_broker import (
    CLIENT,
    NOT_AUTHORISED,
    PAYLOAD_INVALID,
    QUOTA_EXCEEDED,
    WILL,
    FakeBroker,
    Published,
    connected,
)


class AnyBroker(RuleBasedStateMachine):
    """One agent's delivery and a broker that does whatever brokers do, in any order.

    A message asks for as many predictions as its first byte says. What it reads is unique, but for
    twins, which are equal to others of their kind. A reading that comes twice is dropped, as
    windows do; twins have no time, and a second one may be new.
    """

    topics = st.sampled_from(["out/a", "out/b"])
    messages = st.tuples(st.integers(0, 2), st.sampled_from([1, 1, 0]), st.booleans())

    @initialize(in_flight=st.integers(1, 4), receive_maximum=st.integers(1, 5))
    def begin(self, in_flight: int, receive_maximum: int) -> None:
        self.broker = FakeBroker(receive_maximum=receive_maximum)
        self.delivery = Delivery(in_flight, 3)
        self.connection = self.broker.connection(CLIENT, WILL)
        self.up = False
        self.received = self.serial = 0
        self.asked: list[Published] = []  # predictions of QoS 1 inputs, in order
        self.sent: Counter[bytes] = Counter()  # QoS 1 inputs that must be answered
        self.worked: Counter[bytes] = Counter()
        self.let_go: Counter[bytes] = Counter()  # inputs whose acknowledgement was queued
        self.windowed: set[bytes] = set()
        self.sent_again: Counter[bytes] = Counter()
        self.since_save: list[bytes] = []  # QoS 1 inputs that a crash of the broker would lose
        self.broker.save()
        self.unacked: list[bytes] = []  # inputs of this connection, in order of arrival
        self.connect()

    @precondition(lambda self: not self.up)
    @rule()
    def connect(self) -> None:
        self.connection = connected(self.broker)
        self.up = True
        self.delivery.connected(session_present=self.connection.session_present)

    @rule(messages=st.lists(messages, min_size=1, max_size=4))
    def plant_publishes(self, messages: list[tuple[int, int, bool]]) -> None:
        for predictions, qos, twin in messages:
            self.serial += 1
            payload = b"%d:%d:%s" % (predictions, qos, b"twin" if twin else b"%d" % self.serial)
            self.broker.publish("in/a", payload, qos)
            if qos and self.broker.subscribed(CLIENT):
                self.sent[payload] += 1
                self.since_save.append(payload)

    @precondition(lambda self: self.up)
    @rule(limit=st.integers(1, 5))
    def turn(self, limit: int) -> None:
        self.connection.read(limit)
        self.work()
        confirmed, self.connection.confirmed = self.connection.confirmed, []
        for packet_id, reason_code in confirmed:
            self.delivery.confirmed(packet_id, reason_code)
        self.delivery.pump(self.connection)
        for packet_id in self.delivery.acknowledgeable():
            self.let_go[self.unacked.pop(0)] += 1
            self.connection.acknowledge(packet_id)
        self.connection.flush()

    @rule(comes_back=st.booleans())
    def connection_is_cut(self, *, comes_back: bool) -> None:
        if self.up:
            self.broker.cut(CLIENT)
            self.delivery.connection_lost()
            self.unacked.clear()
            self.up = False
        if comes_back:
            self.connect()

    @rule()
    def broker_forgets_the_session(self) -> None:
        self.connection_is_cut(comes_back=False)
        self.broker.forget_sessions()
        # What was not answered before is gone with the broker's memory.
        self.sent.clear()
        self.worked.clear()
        self.let_go.clear()

    @rule()
    def broker_saves(self) -> None:
        self.broker.save()
        self.since_save.clear()

    @rule(persists=st.booleans(), others=st.lists(messages, max_size=2))
    def broker_crashes(self, *, persists: bool, others: list[tuple[int, int, bool]]) -> None:
        """The plant sends again what the broker may have lost, maybe behind something new."""
        lost, self.since_save = self.since_save, []
        if persists:
            self.connection_is_cut(comes_back=False)
            self.broker.crash()
            self.sent.subtract(lost)
        else:
            self.broker_forgets_the_session()
        self.connect()
        self.plant_publishes(others)
        for payload in lost:
            self.broker.publish("in/a", payload)
        if self.broker.subscribed(CLIENT):
            self.sent.update(lost)
            self.sent_again.update(lost)
            self.since_save += lost

    @rule(topic=topics, code=st.sampled_from([NOT_AUTHORISED, QUOTA_EXCEEDED, PAYLOAD_INVALID]))
    def broker_refuses(self, topic: str, code: int) -> None:
        self.broker.refusals[topic] = code

    @rule()
    def broker_grants_all(self) -> None:
        self.broker.refusals.clear()

    @rule()
    def retry(self) -> None:
        self.delivery.retry()

    @rule(confirms=st.booleans())
    def broker_confirms(self, *, confirms: bool) -> None:
        self.broker.confirms = confirms

    @rule(stalls=st.booleans())
    def broker_stalls(self, *, stalls: bool) -> None:
        self.broker.stalls = stalls

    @invariant()
    def counters_balance(self) -> None:
        finished = sum(self.delivery.outcomes.values())
        assert self.received == finished + self.delivery.waiting
        assert sum(self.delivery.dropped.values()) == self.delivery.outcomes[Outcome.DROPPED]

    @invariant()
    def inputs_are_acknowledged_in_order_of_arrival(self) -> None:
        assert self.broker.out_of_order == []

    @invariant()
    def acknowledged_inputs_have_all_their_predictions_confirmed(self) -> None:
        done = Counter(one.payload for one in self.broker.confirmed)
        done.update(one.payload for one, code in self.broker.refused if code == PAYLOAD_INVALID)
        for message, times in Counter(self.broker.acknowledged).items():
            for prediction in predictions_of(message.payload):
                assert done[prediction.payload] >= min(times, 1)

    def teardown(self) -> None:
        if not hasattr(self, "broker"):
            return
        self.broker.confirms, self.broker.stalls = True, False
        self.broker_grants_all()
        if not self.up:
            self.connect()
        for _ in range(200):
            self.retry()
            self.turn(5)
            if self.delivery.idle and not self.delivery.waiting and not self.broker.waiting(CLIENT):
                break
        assert self.delivery.waiting == 0
        self.counters_balance()
        self.acknowledged_inputs_have_all_their_predictions_confirmed()
        acknowledged = Counter(one.payload for one in self.broker.acknowledged)
        assert all(acknowledged[payload] >= times for payload, times in self.sent.items())
        if not self.broker.refused:
            self.order_was_kept()

    def order_was_kept(self) -> None:
        """First copies come in the order in which their inputs did, topic by topic."""
        for topic in ("out/a", "out/b"):
            given = [one.payload for one in self.broker.published if one.topic == topic]
            asked = [one.payload for one in self.asked if one.topic == topic]
            assert list(dict.fromkeys(one for one in given if one in asked)) == asked

    def work(self) -> None:
        messages, self.connection.received = self.connection.received, []
        sources = []
        for message in messages:
            if message.packet_id:
                self.unacked.append(message.payload)
            source = self.delivery.arrived(
                message.topic, message.payload, message.packet_id, repeated=message.repeated
            )
            if source is None:
                continue
            self.received += 1
            if message.packet_id:
                self.worked[message.payload] += 1
                self.is_no_needless_repetition(message.payload)
            sources.append(source)
            if message.packet_id and b"twin" not in message.payload:
                if message.payload in self.windowed:
                    source.drop("duplicate")
                    continue
                self.windowed.add(message.payload)
            for one in predictions_of(message.payload):
                if message.packet_id and b"twin" not in one.payload and one not in self.asked:
                    self.asked.append(one)
                self.delivery.post(Outgoing(one.topic, one.payload, 1, source=source))
        for source in sources:
            self.delivery.settle([source])

    def is_no_needless_repetition(self, payload: bytes) -> None:
        """Only an input whose acknowledgement was lost on its way may be worked on again."""
        allowed = self.sent[payload] + self.let_go[payload] + self.sent_again[payload]
        assert self.worked[payload] <= allowed


def predictions_of(payload: bytes) -> list[Published]:
    count = int(payload.split(b":")[0])
    return [Published(f"out/{'ab'[n]}", b"%d of %s" % (n, payload), 1) for n in range(count)]


AnyBroker.TestCase.settings = settings(max_examples=400, stateful_step_count=40)
TestAnyBroker = AnyBroker.TestCase
