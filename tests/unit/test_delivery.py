"""At least once, in order: single facts, and all of them under whatever a broker may do."""

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

from agent.delivery import MAX_DOCUMENTS, Delivery, Outgoing
from agent.inputs import Input, Outcome
from agent.mqtt import Subscription, Will
from tests.fake_broker import NOT_AUTHORISED, FakeBroker, FakeConnection, Published

WILL = Will("gw/status", b"offline")
CLIENT = "gw"
PAYLOAD_INVALID = 0x99
QUOTA_EXCEEDED = 0x97


def connected(broker: FakeBroker) -> FakeConnection:
    connection = broker.connection(CLIENT, WILL)
    connection.open()
    connection.read(10)
    connection.subscribe([Subscription("in/#", 1)])
    connection.flush()
    return connection


def arrived(delivery: Delivery, payload: bytes = b"x", mid: int = 1) -> Input:
    source = delivery.arrived("in/a", payload, mid, repeated=False)
    assert source is not None
    return source


def answer(delivery: Delivery, source: Input, payload: bytes = b"p", qos: int = 1) -> None:
    delivery.post(Outgoing("out/a", payload, qos, source=source))


def acknowledged(delivery: Delivery) -> list[int]:
    return list(delivery.acknowledgeable())


def turn(delivery: Delivery, connection: FakeConnection) -> None:
    """Publish what is owed, and take what the broker says of it."""
    delivery.pump(connection)
    connection.flush()
    connection.read(100)
    for mid, reason_code in connection.confirmed:
        delivery.confirmed(mid, reason_code)
    connection.confirmed.clear()


def test_input_without_prediction_is_acknowledged_at_once() -> None:
    delivery = Delivery(10, 10)
    source = arrived(delivery, mid=7)
    assert acknowledged(delivery) == []
    delivery.settle([source])
    assert acknowledged(delivery) == [7]
    assert delivery.outcomes == {Outcome.WINDOWED: 1}
    assert delivery.idle


def test_input_is_acknowledged_after_the_last_of_its_predictions_is_confirmed() -> None:
    delivery, broker = Delivery(1, 10), FakeBroker()
    connection = connected(broker)
    source = arrived(delivery)
    answer(delivery, source, b"1")
    answer(delivery, source, b"2")
    delivery.settle([source])
    turn(delivery, connection)
    assert acknowledged(delivery) == []
    turn(delivery, connection)
    assert acknowledged(delivery) == [1]
    assert delivery.outcomes == {Outcome.PREDICTED: 1}


def test_later_input_waits_for_an_earlier_one() -> None:
    delivery, broker = Delivery(10, 10), FakeBroker()
    connection = connected(broker)
    first, second = arrived(delivery, b"1", 1), arrived(delivery, b"2", 2)
    answer(delivery, first)
    delivery.settle([first])
    delivery.settle([second])
    assert acknowledged(delivery) == []
    turn(delivery, connection)
    assert acknowledged(delivery) == [1, 2]


def test_best_effort_input_is_never_acknowledged() -> None:
    delivery = Delivery(10, 10)
    delivery.settle([arrived(delivery, mid=0)])
    assert acknowledged(delivery) == []
    assert delivery.waiting == 0


def test_refusal_that_may_pass_keeps_the_prediction_and_its_order() -> None:
    delivery, broker = Delivery(1, 10), FakeBroker()
    connection = connected(broker)
    broker.refusals["out/a"] = NOT_AUTHORISED
    for number in (b"1", b"2", b"3"):
        source = arrived(delivery, number, int(number))
        answer(delivery, source, number)
        delivery.settle([source])
        turn(delivery, connection)
    assert delivery.refusal == "out/a is refused with reason code 0x87"
    assert len(broker.refused) == 1, "a blocked topic is not tried again before retry"
    broker.refusals.clear()
    delivery.retry()
    for _ in range(3):
        turn(delivery, connection)
    assert [one.payload for one in broker.published] == [b"1", b"2", b"3"]
    assert acknowledged(delivery) == [1, 2, 3]
    assert delivery.refusal == ""


def test_refusal_is_told_until_the_topic_is_granted() -> None:
    delivery, broker = Delivery(10, 10), FakeBroker()
    connection = connected(broker)
    broker.refusals["out/a"] = NOT_AUTHORISED
    source = arrived(delivery)
    answer(delivery, source)
    delivery.settle([source])
    turn(delivery, connection)
    for _ in range(3):
        delivery.retry()
        assert delivery.refusal, (
            "between two tries the reader of STATUS= must not see it come and go"
        )
        turn(delivery, connection)
    assert acknowledged(delivery) == []


def test_refusal_that_repeating_cannot_cure_drops_the_prediction() -> None:
    delivery, broker = Delivery(10, 10), FakeBroker()
    connection = connected(broker)
    broker.refusals["out/a"] = PAYLOAD_INVALID
    source = arrived(delivery)
    answer(delivery, source)
    delivery.settle([source])
    turn(delivery, connection)
    assert acknowledged(delivery) == [1]
    assert delivery.dropped == {"payload_invalid": 1}


def test_prediction_larger_than_the_broker_takes_is_dropped_before_it_is_sent() -> None:
    delivery, broker = Delivery(10, 10), FakeBroker(max_packet_bytes=100)
    connection = connected(broker)
    for mid, payload in enumerate([b"x" * 79, b"x" * 80], start=1):
        source = arrived(delivery, payload, mid)
        answer(delivery, source, payload)  # 16 bytes of overhead and 5 of the topic
        delivery.settle([source])
    turn(delivery, connection)
    assert [len(one.payload) for one in broker.published] == [79]
    assert delivery.dropped == {"too_large": 1}
    assert acknowledged(delivery) == [1, 2]


def test_size_of_a_packet_counts_the_bytes_of_its_topic() -> None:
    delivery, broker = Delivery(10, 10), FakeBroker(max_packet_bytes=100)
    source = arrived(delivery)
    delivery.post(Outgoing("ü" * 40, b"x" * 10, 1, source=source))
    delivery.settle([source])
    turn(delivery, connected(broker))
    assert delivery.dropped == {"too_large": 1}


def test_unconfirmed_predictions_are_published_again_in_order_after_a_loss() -> None:
    delivery, broker = Delivery(10, 10), FakeBroker()
    connection = connected(broker)
    broker.confirms = False
    for number in (b"1", b"2", b"3"):
        source = arrived(delivery, number, int(number))
        answer(delivery, source, number)
        delivery.settle([source])
    turn(delivery, connection)
    delivery.connection_lost()
    broker.confirms = True
    delivery.connected(session_present=True)
    connection = connected(broker)
    broker.published.clear()
    turn(delivery, connection)
    assert [one.payload for one in broker.published] == [b"1", b"2", b"3"]
    assert acknowledged(delivery) == [], "packet ids of the lost connection mean nothing now"


def test_redelivery_is_recognised_and_takes_over_the_predictions_under_way() -> None:
    delivery, broker = Delivery(10, 10), FakeBroker()
    source = arrived(delivery, mid=5)
    answer(delivery, source)
    delivery.settle([source])
    delivery.connection_lost()
    delivery.connected(session_present=True)
    assert delivery.arrived("in/a", b"x", 9, repeated=True) is None
    assert delivery.redelivered == 1
    turn(delivery, connected(broker))
    assert acknowledged(delivery) == [9]
    assert delivery.outcomes == {Outcome.PREDICTED: 1}


def test_redelivery_is_recognised_even_if_it_comes_with_the_connection_after_the_next() -> None:
    delivery = Delivery(10, 10)
    for mid, payload in enumerate([b"1", b"2"], start=1):
        answer(delivery, arrived(delivery, payload, mid))
    delivery.connection_lost()
    delivery.connected(session_present=True)
    assert delivery.arrived("in/a", b"1", 1, repeated=True) is None
    delivery.connection_lost()  # before the second came
    delivery.connected(session_present=True)
    assert delivery.arrived("in/a", b"1", 1, repeated=True) is None
    assert delivery.arrived("in/a", b"2", 2, repeated=True) is None


def test_equal_messages_are_recognised_once_each() -> None:
    delivery = Delivery(10, 10)
    for mid in (1, 2):
        answer(delivery, arrived(delivery, mid=mid))
    delivery.connection_lost()
    delivery.connected(session_present=True)
    assert delivery.arrived("in/a", b"x", 1, repeated=True) is None
    assert delivery.arrived("in/a", b"x", 2, repeated=True) is None
    assert delivery.arrived("in/a", b"x", 3, repeated=True) is not None


def test_new_message_is_never_taken_for_a_redelivery() -> None:
    delivery = Delivery(10, 10)
    answer(delivery, arrived(delivery))
    delivery.connection_lost()
    delivery.connected(session_present=True)
    assert delivery.arrived("in/a", b"x", 2, repeated=False) is not None


def test_lost_session_leaves_nothing_to_recognise() -> None:
    delivery = Delivery(10, 10)
    answer(delivery, arrived(delivery))
    delivery.connection_lost()
    delivery.connected(session_present=False)
    assert delivery.arrived("in/a", b"x", 1, repeated=True) is not None


def test_best_effort_predictions_are_bounded_and_the_newest_are_kept() -> None:
    delivery, broker = Delivery(10, 2), FakeBroker()
    sources = [arrived(delivery, mid=0) for _ in range(5)]
    for number, source in enumerate(sources):
        answer(delivery, source, b"%d" % number)
    for source in sources:
        delivery.settle([source])
    assert delivery.dropped == {"outbox_full": 3}
    assert delivery.waiting == 2
    turn(delivery, connected(broker))
    assert [one.payload for one in broker.published] == [b"3", b"4"]
    assert delivery.waiting == 0
    assert delivery.outcomes == {Outcome.DROPPED: 3, Outcome.PREDICTED: 2}


def test_best_effort_predictions_wait_while_the_socket_takes_nothing() -> None:
    delivery, broker = Delivery(10, 2), FakeBroker()
    connection = connected(broker)
    broker.stalls = True
    for number in range(9):
        source = arrived(delivery, mid=0)
        answer(delivery, source, b"%d" % number, qos=0)
        delivery.settle([source])
        turn(delivery, connection)
    assert delivery.waiting == 2
    broker.stalls = False
    connection.flush()
    turn(delivery, connection)
    assert [one.payload for one in broker.published] == [b"0", b"7", b"8"]


def test_refused_predictions_of_best_effort_inputs_do_not_pile_up() -> None:
    delivery, broker = Delivery(1, 10), FakeBroker()
    connection = connected(broker)
    broker.refusals["out/a"] = NOT_AUTHORISED
    for _ in range(5):
        source = arrived(delivery, mid=0)
        answer(delivery, source)
        delivery.settle([source])
        turn(delivery, connection)
    assert delivery.dropped == {"refused": 5}
    assert delivery.waiting == 0


def test_refused_topic_does_not_stop_the_others() -> None:
    delivery, broker = Delivery(100, 10, max_refused=3), FakeBroker()
    connection = connected(broker)
    broker.refusals["out/a"] = NOT_AUTHORISED
    for number in range(20):
        refused, granted = (
            arrived(delivery, b"a", 2 * number),
            arrived(delivery, b"b", 2 * number + 1),
        )
        answer(delivery, refused)
        delivery.post(Outgoing("out/b", b"%d" % number, 1, source=granted))
        delivery.settle([refused])
        delivery.settle([granted])
        turn(delivery, connection)
        list(delivery.acknowledgeable())
    assert [one.payload for one in broker.published] == [b"%d" % number for number in range(20)]
    assert delivery.dropped == {"refused": 19}
    assert delivery.waiting == 1, "the last may still be granted"


def test_control_documents_go_before_predictions() -> None:
    delivery, broker = Delivery(10, 10), FakeBroker()
    source = arrived(delivery)
    answer(delivery, source)
    delivery.settle([source])
    delivery.post(Outgoing("gw/metrics", b"{}", 1))
    turn(delivery, connected(broker))
    assert [one.topic for one in broker.published] == ["gw/metrics", "out/a"]


def test_control_documents_do_not_pile_up_without_a_broker() -> None:
    delivery, broker = Delivery(2 * MAX_DOCUMENTS, 10), FakeBroker()
    connection = connected(broker)
    broker.confirms = False
    for number in range(3):
        for _ in range(MAX_DOCUMENTS):
            delivery.post(Outgoing("gw/feedback", b"%d" % number, 1))
        turn(delivery, connection)
        delivery.connection_lost()
        delivery.connected(session_present=True)
        connection = connected(broker)
        broker.published.clear()
    broker.confirms = True
    turn(delivery, connection)
    assert [one.payload for one in broker.published] == [b"2"] * MAX_DOCUMENTS
    assert delivery.idle


def test_of_a_refused_control_topic_the_latest_document_is_kept() -> None:
    delivery, broker = Delivery(10, 10), FakeBroker()
    connection = connected(broker)
    broker.refusals["gw/metrics"] = NOT_AUTHORISED
    for number in range(5):
        delivery.post(Outgoing("gw/metrics", b"%d" % number, 1))
        turn(delivery, connection)
    broker.refusals.clear()
    delivery.retry()
    turn(delivery, connection)
    assert [one.payload for one in broker.published] == [b"0", b"4"]


def test_order_is_kept_when_refusals_come_one_by_one() -> None:
    delivery, broker = Delivery(2, 10), FakeBroker()
    connection = connected(broker)
    broker.refusals["out/a"] = NOT_AUTHORISED
    for number in (b"1", b"2", b"3"):
        source = arrived(delivery, number, int(number))
        answer(delivery, source, number)
        delivery.settle([source])
    delivery.pump(connection)
    connection.flush()
    connection.read(10)
    (first, second), connection.confirmed = connection.confirmed, []
    delivery.confirmed(*first)
    delivery.pump(connection)  # the third is held back, the second is still under way
    broker.refusals.clear()
    delivery.retry()
    turn(delivery, connection)
    assert broker.published == []
    delivery.confirmed(*second)
    delivery.retry()
    for _ in range(2):
        turn(delivery, connection)
    assert [one.payload for one in broker.published] == [b"1", b"2", b"3"]
    assert acknowledged(delivery) == [1, 2, 3]


def test_order_is_kept_when_the_connection_is_lost_among_refusals() -> None:
    delivery, broker = Delivery(2, 10), FakeBroker()
    connection = connected(broker)
    broker.refusals["out/a"] = NOT_AUTHORISED
    for number in (b"1", b"2", b"3", b"4"):
        source = arrived(delivery, number, int(number))
        answer(delivery, source, number)
        delivery.settle([source])
    delivery.pump(connection)
    connection.flush()
    connection.read(10)
    delivery.confirmed(*connection.confirmed[0])
    delivery.pump(connection)  # 1 is refused, 2 is under way, 3 and 4 are held back
    delivery.connection_lost()
    broker.refusals.clear()
    delivery.connected(session_present=True)
    connection = connected(broker)
    broker.published.clear()
    for _ in range(3):
        turn(delivery, connection)
    assert [one.payload for one in broker.published] == [b"1", b"2", b"3", b"4"]


def test_unknown_confirmation_is_passed_over() -> None:
    delivery = Delivery(10, 10)
    delivery.confirmed(77, 0)
    assert delivery.idle


class AnyBroker(RuleBasedStateMachine):
    """One agent's delivery and a broker that does whatever brokers do, in any order.

    A message asks for as many predictions as its first byte says. What it reads is unique, but for
    twins, which are equal to others of their kind.
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

    @precondition(lambda self: self.up)
    @rule(limit=st.integers(1, 5))
    def turn(self, limit: int) -> None:
        self.connection.read(limit)
        self.work()
        confirmed, self.connection.confirmed = self.connection.confirmed, []
        for mid, reason_code in confirmed:
            self.delivery.confirmed(mid, reason_code)
        self.delivery.pump(self.connection)
        for mid in self.delivery.acknowledgeable():
            self.let_go[self.unacked.pop(0)] += 1
            self.connection.acknowledge(mid)
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
            if message.mid:
                self.unacked.append(message.payload)
            source = self.delivery.arrived(
                message.topic, message.payload, message.mid, repeated=message.repeated
            )
            if source is None:
                continue
            self.received += 1
            if message.mid:
                self.worked[message.payload] += 1
                self.is_no_needless_repetition(message.payload)
            sources.append(source)
            for one in predictions_of(message.payload):
                if message.mid and b"twin" not in one.payload and one not in self.asked:
                    self.asked.append(one)
                self.delivery.post(Outgoing(one.topic, one.payload, 1, source=source))
        for source in sources:
            self.delivery.settle([source])

    def is_no_needless_repetition(self, payload: bytes) -> None:
        """Only an input whose acknowledgement was lost on its way may be worked on again."""
        assert self.worked[payload] <= self.sent[payload] + self.let_go[payload]


def predictions_of(payload: bytes) -> list[Published]:
    count = int(payload.split(b":")[0])
    return [Published(f"out/{'ab'[n]}", b"%d of %s" % (n, payload), 1) for n in range(count)]


AnyBroker.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestAnyBroker = AnyBroker.TestCase
