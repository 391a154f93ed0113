"""One turn of the hot loop on a connection: answer what has arrived, publish, acknowledge."""

from functools import partial
from typing import Protocol

from agent.delivery.at_least_once import Delivery
from agent.delivery.outgoing import Publisher
from agent.streams.router import Router
from serving.mqtt.packets import Received


class TurnConnection(Publisher, Protocol):
    """The part of a connection that a turn needs; tests and benchmarks have one without a network.

    Attributes:
        received: messages that have arrived and that no turn has taken yet, in order of arrival.
        confirmed: packet id and reason code (MQTT 5, 3.4.2.1) of each PUBACK since the last turn.
        lost: why the connection was lost; empty while it stands.
    """

    received: list[Received]
    confirmed: list[tuple[int, int]]
    lost: str

    def flush(self) -> None:
        """Send as much as the socket accepts without blocking; failures set `lost`."""

    def acknowledge(self, packet_id: int) -> None:
        """Queue the PUBACK of a QoS 1 message, by its packet id."""


def exchange(connection: TurnConnection, router: Router, delivery: Delivery) -> None:
    """Answer the messages that have arrived, and settle the predictions that were confirmed.

    Runs on the hot thread and blocks for inference only. Where messages may be shed, the answer
    waits until no more arrive at once, because only then is it known how many wait (ADR 12).

    Args:
        connection: the connection that is up. If it is lost meanwhile, messages are answered all
            the same; the predictions are published on the next connection.
        router: turns messages into predictions.
        delivery: publishes predictions, and says which messages to acknowledge.
    """
    has_arrived = bool(connection.received)
    if has_arrived:
        messages, connection.received = connection.received, []
        router.receive(messages)
    if connection.confirmed:
        confirmed, connection.confirmed = connection.confirmed, []
        for packet_id, reason_code in confirmed:
            delivery.confirmed(packet_id, reason_code)
    if router.sheds and has_arrived and not connection.lost:
        # Messages that may be shed are acknowledged before they are answered, so that the broker
        # sends those behind them: the newest have to be seen to know which are superseded.
        _acknowledge(connection, delivery)
        connection.flush()
        if router.has_room:
            return
    router.answer(between=partial(_send, connection, delivery))  # a slower model delays no other
    if connection.lost:
        # The broker delivers again what was not acknowledged, and the delivery recognises it.
        return
    if connection.wants_write:
        connection.flush()
    delivery.pump(connection)
    _acknowledge(connection, delivery)


def _send(connection: TurnConnection, delivery: Delivery) -> None:
    if not connection.lost:
        delivery.pump(connection)
        connection.flush()


def _acknowledge(connection: TurnConnection, delivery: Delivery) -> None:
    for packet_id in delivery.acknowledgeable():
        connection.acknowledge(packet_id)
