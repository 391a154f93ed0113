"""The packets between the broker and the agent, read from the connection between them.

They show whether the broker or the agent has lost a message: the broker has lost a reading that
never reached the agent, and a prediction that it has confirmed. They also show at once what would
lose a message at the next fault: an acknowledgement of a reading whose prediction the broker has
not confirmed, or one of an earlier connection.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from chaos.traffic import OVERSIZED_ASSET, ROWS, Key, Reading
from serving.mqtt.packets import MQTT_5, Received
from serving.mqtt.reader import Reader
from tests.kit.broker.proxy import TO_BROKER, TO_CLIENT

_MAX_PACKET_BYTES = 1 << 22
_EVERYTHING = 1 << 20
_SUCCESS_BELOW = 0x80


@dataclass
class _Connection:
    """One connection, with its decoders and the packet ids in use."""

    readers: dict[str, Reader] = field(
        default_factory=lambda: {
            direction: Reader(MQTT_5, _MAX_PACKET_BYTES) for direction in (TO_BROKER, TO_CLIENT)
        }
    )
    inputs: dict[int, Reading | None] = field(default_factory=dict)
    outputs: dict[int, Key | None] = field(default_factory=dict)


class Wire:
    """Reads the bytes that pass a proxy; each attribute only grows.

    Args:
        sent: every reading that the plant has sent, by topic and payload.

    Attributes:
        delivered: readings that have reached the agent, in the order of their first delivery.
        confirmed: predictions that the broker has confirmed.
        premature: number of acknowledgements of a row whose prediction was not confirmed.
        stale: number of acknowledgements of a packet id that did not come on that connection.
    """

    def __init__(self, sent: Mapping[tuple[str, bytes], Reading]) -> None:
        self.delivered: dict[Reading, None] = {}
        self.confirmed: set[Key] = set()
        self.premature = self.stale = 0
        self._sent = sent
        self._connections: dict[int, _Connection] = {}

    def read(self, number: int, direction: str, chunk: bytes) -> None:
        """Read bytes that pass on connection `number` in a direction."""
        connection = self._connections.setdefault(number, _Connection())
        reader = connection.readers[direction]
        reader.feed(chunk)
        block = reader.read(_EVERYTHING, 0)
        from_agent = direction == TO_BROKER
        for message in block.received:
            self._published(connection, message) if from_agent else self._delivered(
                connection, message
            )
        for packet_id, reason_code in block.confirmations:
            if from_agent:
                self._acknowledged(connection, packet_id)
            else:
                self._confirmed(connection, packet_id, reason_code)

    def _delivered(self, connection: _Connection, message: Received) -> None:
        reading = self._sent.get((message.topic, message.payload))
        if message.packet_id:
            connection.inputs[message.packet_id] = reading
        if reading is not None:
            self.delivered.setdefault(reading)

    def _published(self, connection: _Connection, message: Received) -> None:
        if not message.packet_id:
            return
        key = None
        if "/_inference/" in message.topic:
            document = json.loads(message.payload)
            key = Key(document["stream"], document["asset"], document["timestamp"])
        connection.outputs[message.packet_id] = key

    def _confirmed(self, connection: _Connection, packet_id: int, reason_code: int) -> None:
        key = connection.outputs.pop(packet_id, None)
        if key is not None and reason_code < _SUCCESS_BELOW:
            self.confirmed.add(key)

    def _acknowledged(self, connection: _Connection, packet_id: int) -> None:
        if packet_id not in connection.inputs:
            self.stale += 1
            return
        reading = connection.inputs.pop(packet_id)
        if reading is None or reading.key.asset == OVERSIZED_ASSET:
            return
        if reading.key.stream == ROWS:
            self.premature += reading.key not in self.confirmed
