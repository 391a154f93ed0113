"""What the agent keeps of its MQTT session over all connections, and how it receives at QoS 2.

    PUBLISH ──► answered like one at QoS 1 ──► PUBREC ──► PUBREL of the broker ──► PUBCOMP

PUBREC goes out where PUBACK goes out at QoS 1: once the broker has confirmed every prediction made
of the message. Until then a crash of the agent makes the broker deliver it again. From PUBREC until
PUBREL the packet id is remembered here, and a PUBLISH that repeats the message is answered by
PUBREC and goes no further (MQTT 5 and 3.1.1, section 4.3.3). ADR 24 says what a restart means.

Pure: no socket, no clock, no thread. Only the hot thread uses it.
"""

from serving.mqtt.packets import Received


class Session:
    """The session of one client id.

    Attributes:
        begins_clean: whether the next CONNECT asks the broker to end the session that it has, and
            to begin another (MQTT 5, 3.1.2.4).
    """

    def __init__(self) -> None:
        self.begins_clean = False
        # Packet id of each message at QoS 2, and the hash of topic and payload: those that arrived
        # on this connection, and those whose PUBREC was sent and whose PUBREL has not come. Packet
        # ids have 16 bits, which bounds both.
        self._arrived: dict[int, int] = {}
        self._unreleased: dict[int, int] = {}

    def begin_connection(self) -> None:
        """Await acknowledgements of nothing: they belong to the connection before."""
        self._arrived.clear()

    def forgotten(self) -> None:
        """Note that the broker has no session any more (MQTT 5, 3.2.2.1.1)."""
        self._unreleased.clear()

    def is_new(self, message: Received) -> bool:
        """Whether a message at QoS 2 is not a repetition of one whose PUBREC was sent.

        The content is compared too. A broker that crashed and goes on from an older state may use
        the packet id for another message, which must not pass for the one before.
        """
        content = hash((message.topic, message.payload))
        if self._unreleased.get(message.packet_id) == content:
            return False
        self._arrived[message.packet_id] = content
        return True

    def receive(self, packet_id: int) -> bool:
        """Note that a message may be acknowledged; whether by PUBREC, because it came at QoS 2."""
        content = self._arrived.pop(packet_id, None)
        if content is None:
            return False
        self._unreleased[packet_id] = content
        return True

    def release(self, packet_id: int) -> None:
        """Take a PUBREL: the packet id may stand for another message from now on."""
        self._unreleased.pop(packet_id, None)
