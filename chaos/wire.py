"""What the broker and the agent really said to each other, read off the wire between them.

It tells the broker's losses from the agent's: a reading that never reached the agent was lost by
the broker, and so was a prediction that the broker has confirmed. It also sees at once what would
lose a message at the next fault: an acknowledgement of a reading whose prediction the broker has
not confirmed, or one that belongs to an earlier connection.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.mqtt.packets import MQTT_5, Reader, Received
from chaos.traffic import OVERSIZED_ASSET, ROWS, Key, Reading
from tests.kit.broker.proxy import TO_BROKER, TO_CLIENT

_MAX_PACKET_BYTES = 1 << 22
_EVERYTHING = 1 << 20
_SUCCESS_BELOW = 0x80


@dataclass
class _Talk:
    """One connection: what is said on it, and which packet ids are in use."""

    readers: dict[str, Reader] = field(
        default_factory=lambda: {
            direction: Reader(MQTT_5, _MAX_PACKET_BYTES) for direction in (TO_BROKER, TO_CLIENT)
        }
    )
    inputs: dict[int, Reading | None] = field(default_factory=dict)
    outputs: dict[int, Key | None] = field(default_factory=dict)


class Wire:
    """Listens to a proxy; each attribute only grows.

    Args:
        sent: every reading that the plant has sent, by topic and payload.

    Attributes:
        delivered: readings that have reached the agent, in the order of their first delivery.
        confirmed: predictions that the broker has confirmed.
        premature: acknowledgements of a row whose prediction was not confirmed.
        stale: acknowledgements of a packet id that was not delivered on that connection.
    """

    def __init__(self, sent: Mapping[tuple[str, bytes], Reading]) -> None:
        self.delivered: dict[Reading, None] = {}
        self.confirmed: set[Key] = set()
        self.premature = self.stale = 0
        self._sent = sent
        self._talks: dict[int, _Talk] = {}

    def hear(self, number: int, direction: str, chunk: bytes) -> None:
        """Take what goes over connection `number` in a direction."""
        talk = self._talks.setdefault(number, _Talk())
        reader = talk.readers[direction]
        reader.feed(chunk)
        block = reader.read(_EVERYTHING, 0)
        from_agent = direction == TO_BROKER
        for message in block.received:
            self._published(talk, message) if from_agent else self._delivered(talk, message)
        for packet_id, reason_code in block.confirmations:
            if from_agent:
                self._acknowledged(talk, packet_id)
            else:
                self._confirmed(talk, packet_id, reason_code)

    def _delivered(self, talk: _Talk, message: Received) -> None:
        reading = self._sent.get((message.topic, message.payload))
        if message.packet_id:
            talk.inputs[message.packet_id] = reading
        if reading is not None:
            self.delivered.setdefault(reading)

    def _published(self, talk: _Talk, message: Received) -> None:
        if not message.packet_id:
            return
        key = None
        if "/_inference/" in message.topic:
            told = json.loads(message.payload)
            key = Key(told["stream"], told["asset"], told["timestamp"])
        talk.outputs[message.packet_id] = key

    def _confirmed(self, talk: _Talk, packet_id: int, reason_code: int) -> None:
        key = talk.outputs.pop(packet_id, None)
        if key is not None and reason_code < _SUCCESS_BELOW:
            self.confirmed.add(key)

    def _acknowledged(self, talk: _Talk, packet_id: int) -> None:
        if packet_id not in talk.inputs:
            self.stale += 1
            return
        reading = talk.inputs.pop(packet_id)
        if reading is None or reading.key.asset == OVERSIZED_ASSET:
            return
        if reading.key.stream == ROWS:
            self.premature += reading.key not in self.confirmed
