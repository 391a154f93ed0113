"""Counters that balance: received = predicted + windowed + dropped + waiting.

`predicted` inputs had their predictions confirmed by the broker, `windowed` ones only filled
windows, `dropped` ones are counted by reason, `waiting` ones are not finished.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.delivery.at_least_once import Delivery
from agent.delivery.inputs import Outcome
from agent.mqtt.reconnect import Link
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router


class Metrics:
    """Reads the counters where they are kept."""

    def __init__(
        self, router: Router, delivery: Delivery, link: Link, pipelines: Sequence[Pipeline]
    ) -> None:
        self._router = router
        self._delivery = delivery
        self._link = link
        self._pipelines = pipelines

    def snapshot(self) -> Mapping[str, Any]:
        """All counters since the start, as the `metrics` document carries them."""
        delivery = self._delivery
        return {
            "received": self._router.received,
            "predicted": delivery.outcomes[Outcome.PREDICTED],
            "windowed": delivery.outcomes[Outcome.WINDOWED],
            "dropped": dict(delivery.dropped),
            "waiting": delivery.waiting,
            "redelivered": delivery.redelivered,
            "connects": self._link.connects,
            "sessions_lost": self._link.sessions_lost,
            "streams": {
                pipeline.stream: {
                    "predictions": dict(pipeline.predictions),
                    "missing": dict(pipeline.missing),
                    "forgotten_assets": pipeline.forgotten_assets,
                    **pipeline.disorder,
                    **pipeline.drift,
                    "shed": pipeline.shed,
                    "batch_ms": round(pipeline.batch_ns / 1e6, 3),
                }
                for pipeline in self._pipelines
            },
        }
