"""What was heard on the wire: the messages of each topic, within limits.

Of each topic the first messages are kept, and of the later ones as many, evenly spread over the
time. So what changes seldom is seen too, and a topic with thousands of messages takes no more
memory than one with thirty-two.
"""

from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Final, NamedTuple

from serving.mqtt.packets import Received, Skipped

FIRST: Final = 16
"""Messages of a topic that are kept from its beginning, one after the other."""
LATER: Final = 16
"""Messages of a topic that are kept of those that follow."""
_ARRIVALS: Final = FIRST + LATER + 1
_RECORD_BYTES: Final = 1_024
"""Memory of a topic beside its payloads: its name, its times of arrival, its objects."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What ends the listening, and what is kept at most.

    Attributes:
        messages: messages after which the listening ends.
        size_bytes: bytes of payloads after which the listening ends.
        topics: topics that are kept; messages on further ones are counted only.
        memory_bytes: bytes that are kept; beyond, messages are counted only.
    """

    messages: int = 1_000_000
    size_bytes: int = 1 << 30
    topics: int = 10_000
    memory_bytes: int = 64 << 20


class Sample(NamedTuple):
    """One message that is kept.

    Attributes:
        at_ns: time of arrival in nanoseconds since 1970.
        payload: content of the message.
    """

    at_ns: int
    payload: bytes


class Record:
    """What is kept of one topic.

    Attributes:
        topic: the topic.
        live: number of messages that were published while it was listened to.
        stored: payload of the retained message, None where there was none.
        samples: messages that are kept, in the order of arrival.
        arrivals: times of arrival of the first messages, nanoseconds since 1970.
    """

    __slots__ = ("_stride", "arrivals", "live", "samples", "stored", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.live = 0
        self.stored: bytes | None = None
        self.samples: list[Sample] = []
        self.arrivals = array("q")
        self._stride = 1

    def wants(self) -> bool:
        """Whether the message that was counted last is one to be kept."""
        return self.live <= FIRST or (self.live - FIRST) % self._stride == 0

    def keep(self, sample: Sample) -> int:
        """Keep a message; returns the bytes by which the memory has grown."""
        self.samples.append(sample)
        grown = len(sample.payload)
        if len(self.samples) > FIRST + LATER:
            grown -= sum(len(one.payload) for one in self.samples[FIRST::2])
            del self.samples[FIRST::2]
            self._stride *= 2
        return grown


class Wire:
    """Takes messages in.

    Args:
        bounds: the limits.

    Attributes:
        topics: what is kept, by topic.
        messages: number of all messages, retained ones too.
        size_bytes: bytes of all payloads.
        unkept: messages that were not kept, by reason.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.topics: dict[str, Record] = {}
        self.messages = 0
        self.size_bytes = 0
        self.unkept: Counter[str] = Counter()
        self._bounds = bounds
        self._kept_bytes = 0

    @property
    def limit(self) -> str:
        """The limit that ends the listening, in words; empty while none is reached."""
        if self.messages >= self._bounds.messages:
            return f"{self._bounds.messages} messages have arrived (--messages)"
        if self.size_bytes >= self._bounds.size_bytes:
            return f"{self._bounds.size_bytes >> 20} MiB have arrived (--megabytes)"
        return ""

    def take(self, message: Received) -> None:
        """Take one message in."""
        self.messages += 1
        self.size_bytes += len(message.payload)
        record = self.topics.get(message.topic)
        if record is None:
            if not message.topic:
                self.unkept["their topic is not UTF-8"] += 1
                return
            if len(self.topics) >= self._bounds.topics:
                self.unkept[f"on topics beyond the first {self._bounds.topics} (--topics)"] += 1
                return
            record = self.topics[message.topic] = Record(message.topic)
            self._kept_bytes += _RECORD_BYTES
        self._count(record, message)

    def _count(self, record: Record, message: Received) -> None:
        if message.retained:
            if self._has_room(message):
                record.stored = message.payload
            return
        record.live += 1
        if len(record.arrivals) < _ARRIVALS:
            record.arrivals.append(message.at_ns)
        if record.wants() and self._has_room(message):
            self._kept_bytes += record.keep(Sample(message.at_ns, message.payload))

    def _has_room(self, message: Received) -> bool:
        if isinstance(message.payload, Skipped):
            self.unkept["larger than a message that the agent takes (limits)"] += 1
        elif self._kept_bytes + len(message.payload) > self._bounds.memory_bytes:
            self.unkept["more than is kept at once (--memory)"] += 1
        else:
            return True
        return False
