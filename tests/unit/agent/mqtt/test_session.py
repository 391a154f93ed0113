"""QoS 2 within one session, whatever order its packets come in (MQTT 5, 4.3.3)."""

from hypothesis import given
from hypothesis import strategies as st

from agent.mqtt.session import Session
from serving.mqtt.packets import Received

steps = st.lists(
    st.tuples(
        st.sampled_from(["publish", "answer", "release", "cut", "forget"]), st.integers(1, 3)
    ),
    max_size=40,
)


def message(packet_id: int, number: int) -> Received:
    payload = b"%d" % number
    return Received("t", payload, packet_id, retained=False, repeated=False, at_ns=0)


@given(steps)
def test_message_is_new_unless_its_pubrec_was_sent_and_its_pubrel_has_not_come(
    taken: list[tuple[str, int]],
) -> None:
    session = Session()
    arrived: set[int] = set()
    received: set[int] = set()
    for step, packet_id in taken:
        if step == "publish":
            assert session.is_new(message(packet_id, packet_id)) == (packet_id not in received)
            if packet_id not in received:
                arrived.add(packet_id)
        elif step == "answer":
            assert session.receive(packet_id) == (packet_id in arrived)
            if packet_id in arrived:
                arrived.discard(packet_id)
                received.add(packet_id)
        elif step == "release":
            session.release(packet_id)
            received.discard(packet_id)
        else:
            session.begin_connection()
            arrived.clear()
            if step == "forget":
                session.forgotten()
                received.clear()


def test_other_content_under_the_same_packet_id_is_new() -> None:
    session = Session()
    assert session.is_new(message(7, 1))
    assert session.receive(7)
    assert not session.is_new(message(7, 1))
    assert session.is_new(message(7, 2))
