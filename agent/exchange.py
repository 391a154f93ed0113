"""What a turn does with a connection: answer what has arrived, publish, acknowledge."""

from functools import partial
from typing import Protocol

from agent.delivery.at_least_once import Delivery
from agent.delivery.outgoing import Publisher
from agent.mqtt.packets import Received
from agent.streams.router import Router


class Transport(Publisher, Protocol):
    """The part of a connection that takes part in the exchange."""

    received: list[Received]
    confirmed: list[tuple[int, int]]
    lost: str

    def flush(self) -> None:
        """Send as much as the socket takes."""

    def acknowledge(self, packet_id: int) -> None:
        """Queue the PUBACK of a QoS 1 message."""


def exchange(transport: Transport, router: Router, delivery: Delivery) -> None:
    """Answer what has arrived, and settle what was confirmed.

    Where messages may be shed, the answer waits until nothing more comes at once: then it is seen
    how many wait. What the broker need not hold is acknowledged first, so that it sends on.
    """
    has_arrived = bool(transport.received)
    if has_arrived:
        messages, transport.received = transport.received, []
        router.receive(messages)
    if transport.confirmed:
        confirmed, transport.confirmed = transport.confirmed, []
        for packet_id, reason_code in confirmed:
            delivery.confirmed(packet_id, reason_code)
    if router.sheds and has_arrived and not transport.lost:
        _acknowledge(transport, delivery)
        transport.flush()
        if router.has_room:
            return
    router.answer(between=partial(_send, transport, delivery))
    if transport.lost:
        return  # what was not acknowledged comes again, and is recognised then
    if transport.wants_write:
        transport.flush()
    delivery.pump(transport)
    _acknowledge(transport, delivery)


def _send(transport: Transport, delivery: Delivery) -> None:
    if not transport.lost:
        delivery.pump(transport)
        transport.flush()


def _acknowledge(transport: Transport, delivery: Delivery) -> None:
    for packet_id in delivery.acknowledgeable():
        transport.acknowledge(packet_id)
