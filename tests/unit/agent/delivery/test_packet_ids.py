"""A packet id is one publish until the broker has confirmed it (MQTT 5, 2.2.1 and 4.4)."""

from agent.config.settings import MAX_IN_FLIGHT, Limits
from agent.delivery.at_least_once import Delivery
from agent.delivery.outgoing import Outgoing
from serving.mqtt.packets import FIRST_PACKET_ID, LAST_PACKET_ID, Publish


class Sent:
    """A socket that takes everything, and remembers it."""

    max_in_flight, max_packet_bytes, wants_write = 65_535, 1 << 20, False

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.packet_ids: list[int] = []
        self.repeated: list[bool] = []

    def publish(self, message: Publish) -> None:
        self.payloads.append(message.payload)
        self.packet_ids.append(message.packet_id)
        self.repeated.append(message.repeated)


def owe(delivery: Delivery, payload: bytes = b"x") -> None:
    source = delivery.arrived("in/a", payload, 1, repeated=False)
    assert source is not None
    delivery.post(Outgoing("out/a", payload, 1, source=source))


def test_unconfirmed_predictions_keep_their_packet_ids_as_long_as_the_session_lives() -> None:
    delivery, sent = Delivery(10, 10), Sent()
    for number in (b"1", b"2"):
        owe(delivery, number)
    delivery.pump(sent)
    delivery.confirmed(sent.packet_ids[0], 0)
    delivery.connection_lost()
    delivery.connected(session_present=True)
    owe(delivery, b"3")
    again = Sent()
    delivery.pump(again)
    assert again.payloads == [b"2", b"3"]
    assert again.repeated == [True, False]
    assert again.packet_ids[0] == sent.packet_ids[1]
    assert again.packet_ids[1] not in sent.packet_ids
    delivery.connection_lost()
    delivery.connected(session_present=False)
    last = Sent()
    delivery.pump(last)
    assert (last.payloads, last.repeated) == ([b"2", b"3"], [False, False])


def test_packet_id_of_an_unconfirmed_prediction_is_not_given_away_when_the_ids_begin_anew() -> None:
    delivery, sent = Delivery(10, 10), Sent()
    owe(delivery)
    delivery.pump(sent)
    for _ in range(MAX_IN_FLIGHT):
        owe(delivery)
        delivery.pump(sent)
        delivery.confirmed(sent.packet_ids[-1], 0)
    assert sent.packet_ids.count(sent.packet_ids[0]) == 1
    assert set(sent.packet_ids) == set(range(FIRST_PACKET_ID, LAST_PACKET_ID + 1))


def test_predictions_go_out_while_confirmations_wait_behind_a_flood_of_readings() -> None:
    # Mosquitto 2.0.11 sends thousands of readings beyond the Receive Maximum (mosquitto#2301), and
    # what it confirms comes behind them. Predictions that waited for that came seconds late.
    limits = Limits()
    delivery, sent = Delivery(limits.max_in_flight, limits.max_outbox), Sent()
    for _ in range(5_000):
        owe(delivery)
    delivery.pump(sent)
    assert len(sent.payloads) == 5_000
