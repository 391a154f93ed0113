"""The plant of a fleet: a pump for each gateway, which sends numbered rows at a steady rate."""

import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from tests.kit.gateway.mqtt_client import MqttClient, Session
from tests.kit.rollouts.fleet import telemetry_topic

BASE_MS: Final = 1_700_000_000_000
STEP_MS: Final = 1_000
"""Event time between two rows, so that each is a block of its own."""
PERIOD: Final = 60
"""Rows after which the level of a pump begins anew."""
_PACE_S: Final = 0.1


class Plant(MqttClient):
    """Sends rows at QoS 1 on a thread of its own; while there is no connection it waits.

    Row `n` has `c0` = n modulo 60, and `c1` = 0, or 1 where the product of the pump has changed.

    Args:
        port: port of the broker on the loopback.
        gateways: ids of the gateways.
        rate: rows of each a second.

    Attributes:
        sent: number of rows that each gateway was sent.
        changed: gateways whose product has changed.
    """

    def __init__(self, port: int, gateways: Iterable[str], rate: float) -> None:
        super().__init__(port, session=Session(client_id="plant"))
        self.sent = dict.fromkeys(gateways, 0)
        self.changed: frozenset[str] = frozenset()
        self._rate = rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="plant")

    def __enter__(self) -> Self:
        """Connect, and begin to work."""
        super().__enter__()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and disconnect."""
        self.stop()
        super().__exit__(kind, error, trace)

    def stop(self) -> None:
        """Send no more rows."""
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        due, before_s = 0.0, time.monotonic()
        while not self._stopping.wait(_PACE_S):
            now_s = time.monotonic()
            if self.paho.is_connected():
                due += (now_s - before_s) * self._rate
            before_s, rows = now_s, int(due)
            due -= rows
            for name in self.sent:
                self._send(name, rows)

    def _send(self, name: str, rows: int) -> None:
        topic, first = telemetry_topic(name), self.sent[name]
        c1 = float(name in self.changed)
        for number in range(first, first + rows):
            row = {"ts": BASE_MS + number * STEP_MS, "c0": float(number % PERIOD), "c1": c1}
            self.publish(topic, row)
        self.sent[name] = first + rows
