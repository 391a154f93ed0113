"""A flow of rows of several assets at a fixed rate."""

import threading
import time
from collections.abc import Callable

from tests.kit.gateway.mqtt_client import PlantClient

BASE_MS = 1_700_000_000_000
MAX_ROWS = 120_000
MAX_UNANSWERED = 2_000
_BATCH = 10
_JOIN_S = 30.0
_LOOK_S = 0.01
ROW = {"c0": 1.0, "c1": 2.0}


class Flow(threading.Thread):
    """Publishes rows at QoS 1, each with its own pair of asset and timestamp.

    Args:
        plant: client that publishes.
        rate: rows a second.
        assets: number of assets, which take turns.
        answered: function that returns the number of answers so far, on which the flow then waits
            where it is far ahead of them; None: it does not wait.

    Attributes:
        sent: asset and timestamp of every row, in order.
    """

    def __init__(
        self,
        plant: PlantClient,
        rate: int,
        assets: int,
        answered: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(name="flow", daemon=True)
        self.sent: list[tuple[str, int]] = []
        self._enough = threading.Event()
        self._plant = plant
        self._rate = rate
        self._assets = assets
        self._answered = answered

    def run(self) -> None:
        """Publish until `finish`."""
        started = time.monotonic()
        while len(self.sent) < MAX_ROWS and not self._enough.is_set():
            for _ in range(_BATCH):
                number = len(self.sent)
                asset, ts = f"l1/p{number % self._assets}", BASE_MS + number
                self.sent.append((asset, ts))
                self._plant.publish(f"plant/{asset}/telemetry", {"ts": ts, **ROW})
            ahead = len(self.sent) / self._rate - (time.monotonic() - started)
            self._enough.wait(max(0.0, ahead))
            while self._is_far_ahead() and not self._enough.wait(_LOOK_S):
                started += _LOOK_S

    def _is_far_ahead(self) -> bool:
        if self._answered is None:
            return False
        return len(self.sent) - self._answered() > MAX_UNANSWERED

    def finish(self) -> None:
        """End the flow, and wait until the broker has confirmed all rows."""
        self._enough.set()
        self.join(_JOIN_S)
        self._plant.flush()
