"""At least once, in order, fact by fact; `test_any_broker` tries all of them at once."""

import pytest

from agent.delivery.at_least_once import MAX_DOCUMENTS, Delivery
from agent.delivery.inputs import Input, Outcome
from agent.delivery.outgoing import Outgoing
from tests.kit.broker.fake_broker import (
    NOT_AUTHORISED,
    PAYLOAD_INVALID,
    FakeBroker,
    FakeConnection,
    connected,
)
from tests.kit.wording import names


def arrived(delivery: Delivery, payload: bytes = b"x", packet_id: int = 1) -> Input:
    source = delivery.arrived("in/a", payload, packet_id, repeated=False)
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
    for packet_id, reason_code in connection.confirmed:
        delivery.confirmed(packet_id, reason_code)
    connection.confirmed.clear()


def test_input_without_prediction_is_acknowledged_at_once() -> None:
    delivery = Delivery(10, 10)
    source = arrived(delivery, packet_id=7)
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
    delivery.settle([arrived(delivery, packet_id=0)])
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
    assert names(delivery.refusal, "out/a", "0x87")
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
    for packet_id, payload in enumerate([b"x" * 79, b"x" * 80], start=1):
        source = arrived(delivery, payload, packet_id)
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
    source = arrived(delivery, packet_id=5)
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
    for packet_id, payload in enumerate([b"1", b"2"], start=1):
        answer(delivery, arrived(delivery, payload, packet_id))
    delivery.connection_lost()
    delivery.connected(session_present=True)
    assert delivery.arrived("in/a", b"1", 1, repeated=True) is None
    delivery.connection_lost()  # before the second came
    delivery.connected(session_present=True)
    assert delivery.arrived("in/a", b"1", 1, repeated=True) is None
    assert delivery.arrived("in/a", b"2", 2, repeated=True) is None


def test_equal_messages_are_recognised_once_each() -> None:
    delivery = Delivery(10, 10)
    for packet_id in (1, 2):
        answer(delivery, arrived(delivery, packet_id=packet_id))
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


def test_redelivery_without_dup_is_told_by_its_packet_id() -> None:
    """As Mosquitto does after a crash, whose last state on disk was older than the sending."""
    delivery, broker = Delivery(10, 10), FakeBroker()
    for packet_id in (5, 6):
        source = arrived(delivery, packet_id=packet_id)
        answer(delivery, source)
        delivery.settle([source])
    delivery.connection_lost()
    delivery.connected(session_present=True)
    assert delivery.arrived("in/a", b"x", 5, repeated=False) is None
    assert delivery.arrived("in/a", b"y", 6, repeated=False) is not None, "another message"
    assert delivery.arrived("in/a", b"x", 5, repeated=False) is not None, "it has come already"
    assert delivery.redelivered == 1
    turn(delivery, connected(broker))
    assert acknowledged(delivery) == [5]


def test_packet_id_that_the_journal_knows_may_belong_to_a_new_message() -> None:
    delivery = Delivery(10, 10)
    answer(delivery, arrived(delivery, packet_id=5))
    delivery.restored(acked=0)
    delivery.connected(session_present=True)
    assert delivery.arrived("in/a", b"x", 5, repeated=False) is not None
    assert delivery.arrived("in/a", b"x", 5, repeated=True) is None


@pytest.mark.parametrize("session_present", [True, False])
def test_reading_sent_again_is_not_acknowledged_before_the_prediction_of_its_first_copy(
    *, session_present: bool
) -> None:
    """The plant missed a confirmation when the broker crashed, and the windows know the reading."""
    delivery, broker = Delivery(10, 10), FakeBroker()
    first = arrived(delivery, packet_id=5)
    first.serial = 1
    answer(delivery, first)
    delivery.settle([first])
    delivery.connection_lost()
    delivery.connected(session_present=session_present)
    other = arrived(delivery, b"other", packet_id=6)
    other.serial = 2
    second = arrived(delivery, packet_id=7)
    second.drop("duplicate")
    delivery.settle([other, second])
    assert acknowledged(delivery) == [6]
    assert delivery.acked == 0, "after a crash the first copy is still to be answered"
    turn(delivery, connected(broker))
    assert acknowledged(delivery) == [7]
    assert delivery.acked == 1
    assert delivery.outcomes == {Outcome.PREDICTED: 1, Outcome.WINDOWED: 1, Outcome.DROPPED: 1}
    assert delivery.idle


def test_a_third_copy_waits_behind_the_first_too() -> None:
    delivery, broker = Delivery(10, 10), FakeBroker()
    first = arrived(delivery, packet_id=5)
    answer(delivery, first)
    delivery.settle([first])
    delivery.connection_lost()
    delivery.connected(session_present=True)
    for packet_id in (7, 8):
        copy = arrived(delivery, packet_id=packet_id)
        copy.drop("duplicate")
        delivery.settle([copy])
    assert acknowledged(delivery) == []
    turn(delivery, connected(broker))
    assert acknowledged(delivery) == [7, 8]


def test_lost_session_leaves_nothing_to_recognise() -> None:
    delivery = Delivery(10, 10)
    answer(delivery, arrived(delivery))
    delivery.connection_lost()
    delivery.connected(session_present=False)
    assert delivery.arrived("in/a", b"x", 1, repeated=True) is not None


def test_best_effort_predictions_are_bounded_and_the_newest_are_kept() -> None:
    delivery, broker = Delivery(10, 2), FakeBroker()
    sources = [arrived(delivery, packet_id=0) for _ in range(5)]
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
        source = arrived(delivery, packet_id=0)
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
        source = arrived(delivery, packet_id=0)
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
