"""The `desired` documents that arrive, as many as a gateway can act on: the newest of each stream.

Each document that is acted on is answered by `feedback`, looks into the registry and may download a
bundle. A client that repeats itself without end must not keep the agent from its readings, so a
stream is told something new once in an interval; what comes in between is replaced by the newest.
"""

from collections.abc import Callable, Collection
from typing import Final

from models.control.topics import ControlTopics
from serving.log import Limited

_LOG_S: Final = 60.0


class Commands:
    """Hands `desired` documents on, of each stream at most one in an interval.

    Used on the hot thread alone; nothing here blocks.

    Args:
        topics: the control topics of the gateway.
        streams: the streams of the gateway; documents for others are ignored.
        desire: is given the stream and the payload of a document to act on.
        interval_s: seconds from one document of a stream to the next.
        clock: monotonic seconds.

    Attributes:
        superseded: how many documents were replaced by a newer one before they were acted on.
    """

    def __init__(
        self,
        topics: ControlTopics,
        streams: Collection[str],
        desire: Callable[[str, bytes], None],
        interval_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.superseded = 0
        self._topics = topics
        self._due_s = dict.fromkeys(streams, 0.0)
        self._desire = desire
        self._interval_s = interval_s
        self._clock = clock
        self._waiting: dict[str, bytes] = {}
        self._log = Limited(_LOG_S, clock)

    def take(self, topic: str, payload: bytes) -> bool:
        """Take a message; says whether it was for the gateway itself."""
        stream = self._topics.stream_desired_by(topic)
        if stream is None:
            return False
        if stream in self._waiting:
            self.superseded += 1
            self._log.warning(
                stream,
                "desired documents come faster than limits.desired_s allows, the newest counts",
                stream=stream,
                limit_s=self._interval_s,
            )
        if stream in self._due_s:
            self._waiting[stream] = payload
            self._hand_on(stream)
        return True

    def tick(self) -> None:
        """Act on what has waited for its time; to be called about once a second."""
        for stream in list(self._waiting):
            self._hand_on(stream)

    def hurry(self) -> None:
        """Act on what waits now, although its time has not come."""
        self._due_s = dict.fromkeys(self._due_s, 0.0)
        self.tick()

    def _hand_on(self, stream: str) -> None:
        now_s = self._clock()
        if now_s >= self._due_s[stream]:
            self._due_s[stream] = now_s + self._interval_s
            self._desire(stream, self._waiting.pop(stream))
