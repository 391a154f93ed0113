"""The gateway's own topics: status, current, feedback and metrics, each a small JSON document.

    millhand/<gateway>/status              retained, also the will
    millhand/<gateway>/desired/<stream>    retained, written by `millhand-trainer push`
    millhand/<gateway>/current/<stream>    retained, what really runs
    millhand/<gateway>/feedback            an update's progress and outcome
    millhand/<gateway>/metrics             counters that balance

`desired` and `current` are one document a stream (ADR 4), so that selecting one stream never
forgets another.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import orjson

from agent.delivery.at_least_once import Outgoing
from agent.mqtt.connection import Subscription, Will

PREFIX = "millhand"


class Control:
    """Writes the gateway's documents.

    Args:
        gateway: its id.
        post: owes a publish to the broker.
    """

    def __init__(self, gateway: str, post: Callable[[Outgoing], None]) -> None:
        self._base = f"{PREFIX}/{gateway}"
        self._post = post
        self._started = _now()
        self._version = version("millhand")
        self.desired = Subscription(f"{self._base}/desired/+", qos=0, state=True)

    @property
    def will(self) -> Will:
        """What the broker publishes if the agent vanishes."""
        return Will(f"{self._base}/status", orjson.dumps(self._status("offline")))

    def stream_desired_by(self, topic: str) -> str | None:
        """The stream a `desired` topic is about, None for any other topic."""
        base, _, stream = topic.rpartition("/")
        return stream if base == f"{self._base}/desired" else None

    def online(self) -> None:
        """Say that the agent is there."""
        self._publish("status", self._status("online"), retain=True)

    def offline(self) -> None:
        """Say that the agent is about to stop, on purpose."""
        self._publish("status", self._status("offline"), retain=True)

    def current(self, stream: str, document: Mapping[str, Any]) -> None:
        """Say what a stream runs."""
        self._publish(f"current/{stream}", {"stream": stream, **document}, retain=True)

    def feedback(self, document: Mapping[str, Any]) -> None:
        """Tell how an update goes."""
        self._publish("feedback", {**document, "time": _now()}, retain=False)

    def metrics(self, counters: Mapping[str, Any]) -> None:
        """Publish the counters."""
        self._publish("metrics", {"time": _now(), "since": self._started, **counters}, retain=False)

    def _status(self, state: str) -> dict[str, str]:
        return {"state": state, "version": self._version, "since": self._started}

    def _publish(self, topic: str, document: Mapping[str, Any], *, retain: bool) -> None:
        self._post(Outgoing(f"{self._base}/{topic}", orjson.dumps(document), 1, retain))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
