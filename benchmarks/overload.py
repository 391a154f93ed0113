"""`python -m benchmarks.overload`: the overload policies when more readings come than are answered.

Before each case the capacity is measured: the answers a second of an agent that drops nothing, for
readings that wait. Then readings come at a multiple of it. Printed are goodput (answers a second,
and as a part of the capacity), latency from the publish of a reading to its answer, and growth of
the agent's memory under the load. Every reading that was sent must be answered, or counted as
dropped.

The model takes about 20 ms for a batch of 16. The broker has no limit of its own, so that only the
agent can lose a reading.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import Any, NamedTuple

from agent.config.settings import ConnectionSettings
from agent.mqtt.connection import Connection, Will
from agent.mqtt.subscription import Subscription
from benchmarks.errors import BenchmarkError
from models.control.topics import ControlTopics
from serving.mqtt.packets import FIRST_PACKET_ID, LAST_PACKET_ID, Publish
from tests.kit.broker.brokers import HOST, mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline

ASSETS, BATCH, LAYERS = 8, 16, 600
FACTORS = (2, 5, 10)
BASE_MS = 1_700_000_000_000
_STREAM = "slow"
_METRICS = ControlTopics("gw1").metrics
_PACE_S = 0.002
_BURST = 1_500
_MAX_UNCONFIRMED = 20_000
_DRAIN_S = 120.0
_MB = 1e6


def telemetry_topic(number: int) -> str:
    """Return the topic of a reading; the assets take turns."""
    return f"plant/l1/p{number % ASSETS}/telemetry"


@dataclass(frozen=True, slots=True)
class Case:
    """A load of `factor` times the capacity, for one policy at one QoS."""

    policy: str
    qos: int
    factor: float


class Answer(NamedTuple):
    """An answer: its topic, when it came on the monotonic clock, and seconds after its reading."""

    topic: str
    at_s: float
    took_s: float


class Driver:
    """Publishes numbered readings at a rate, and receives the answers and the counters.

    It uses the agent's own connection, which is faster than paho.

    Args:
        port: port of the broker on the loopback.
        qos: QoS of the readings.
        topic_of: function that returns the topic of the reading with a number.

    Attributes:
        sent: number of readings so far.
        answers: answers in the order of arrival.
        metrics: latest counters of the agent.
    """

    def __init__(
        self, port: int, qos: int, topic_of: Callable[[int], str] = telemetry_topic
    ) -> None:
        self.sent = 0
        self._topic_of = topic_of
        self.answers: list[Answer] = []
        self.metrics: dict[str, Any] = {}
        self._qos = qos
        self._sent_s: list[float] = []
        self._unconfirmed = 0
        broker = ConnectionSettings(host=HOST, port=port, receive_maximum=65_535)
        self._connection = Connection(broker, "driver", Will("driver", b""), 5)
        self._connection.open()
        self._until(lambda: self._connection.accepted)
        self._connection.subscribe([Subscription("plant/+/+/_inference/+", 0)])
        self._connection.subscribe([Subscription(_METRICS, 0)])
        self._until(lambda: not self._connection.subscribing)

    def burst(self, count: int) -> None:
        """Publish a number of readings at once."""
        self._publish(count)
        self._turn(_PACE_S)

    def drive(self, rate: float, seconds: float) -> None:
        """Publish readings at a rate for some seconds."""
        started, before = time.monotonic(), self.sent
        while (passed := time.monotonic() - started) < seconds:
            if self._unconfirmed < _MAX_UNCONFIRMED:
                self._publish(before + round(passed * rate) - self.sent)
            self._turn(_PACE_S)

    def settle(self) -> None:
        """Wait until the agent has answered or dropped every reading."""
        self._until(
            lambda: self.metrics.get("received") == self.sent and not self.metrics["waiting"]
        )

    def _publish(self, count: int) -> None:
        now = time.monotonic()
        for number in range(self.sent, self.sent + count):
            row = b'{"ts":%d,"c0":1.0,"c1":2.0}' % (BASE_MS + number)
            packet_id = FIRST_PACKET_ID + number % (LAST_PACKET_ID - FIRST_PACKET_ID)
            self._connection.publish(
                Publish(self._topic_of(number), row, self._qos, packet_id=packet_id)
            )
            self._sent_s.append(now)
        self.sent += max(0, count)
        self._unconfirmed += self._qos * max(0, count)

    def _turn(self, wait_s: float) -> None:
        connection = self._connection
        connection.flush()
        descriptor = connection.fileno()
        if descriptor is None or connection.lost:
            raise BenchmarkError(f"the driver has no connection: {connection.lost}")
        if not connection.has_unread:
            select([descriptor], [], [], wait_s)
        connection.read(10_000)
        connection.tick()
        now = time.monotonic()
        for message in connection.received:
            document = json.loads(message.payload)
            if message.topic == _METRICS:
                self.metrics = document
            else:
                sent_s = self._sent_s[document["timestamp"] - BASE_MS]
                self.answers.append(Answer(message.topic, now, now - sent_s))
        connection.received.clear()
        self._unconfirmed -= len(connection.confirmed)
        connection.confirmed.clear()

    def _until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _DRAIN_S
        while not done():
            if time.monotonic() > deadline:
                raise BenchmarkError(f"not within {_DRAIN_S:g} s; sent {self.sent}, {self.metrics}")
            self._turn(_PACE_S)


def capacity(qos: int) -> float:
    """Return the answers a second of an agent for which readings wait."""
    with _serving("block", qos) as (driver, _):
        driver.burst(_BURST)
        driver.settle()
        first, last = driver.answers[0].at_s, driver.answers[-1].at_s
        return len(driver.answers) / (last - first)


def measure(case: Case, rate: float, seconds: float) -> dict[str, float]:
    """Drive one agent at a rate.

    Raises:
        BenchmarkError: a reading is neither answered nor counted as dropped.
    """
    with _serving(case.policy, case.qos) as (driver, gateway):
        return _figures(driver, gateway, rate, seconds)


@contextmanager
def _serving(policy: str, qos: int) -> Iterator[tuple[Driver, Gateway]]:
    pipeline = telemetry_pipeline(_STREAM, qos=qos) | {"overload": policy}
    limits: dict[str, object] = {"max_batch": BATCH, "metrics_s": 0.1}
    with tempfile.TemporaryDirectory(prefix="millhand-overload-") as name:
        folder = Path(name)
        with mosquitto(folder / "broker", max_queued_messages=0, max_inflight_messages=0) as broker:
            sections = {"limits": limits}
            with Gateway(folder / "gw", broker.port, [pipeline], sections=sections) as gateway:
                gateway.keep(linear_bundle(_STREAM, 1, [1.0, 10.0], layers=LAYERS))
                driver = Driver(broker.port, qos)
                gateway.start_serving()
                yield driver, gateway


def _figures(driver: Driver, gateway: Gateway, rate: float, seconds: float) -> dict[str, float]:
    driver.drive(rate, 1.0)  # warm-up
    begin, before = time.monotonic(), _rss_bytes(gateway)
    driver.drive(rate, seconds)
    end, growth = time.monotonic(), _rss_bytes(gateway) - before
    driver.settle()
    metrics, answered = driver.metrics, len(driver.answers)
    dropped = sum(metrics["dropped"].values())
    if not (metrics["predicted"] == answered and answered + dropped == driver.sent):
        raise BenchmarkError(f"sent {driver.sent}, answered {answered}, {metrics}")
    within = sorted(one.took_s for one in driver.answers if begin < one.at_s <= end)
    return {
        "sent": driver.sent,
        "answered": answered,
        "dropped": dropped,
        "goodput": len(within) / (end - begin),
        "p50_ms": within[len(within) // 2] * 1e3,
        "p99_ms": within[len(within) * 99 // 100] * 1e3,
        "growth_mb": growth / _MB,
    }


def _rss_bytes(gateway: Gateway) -> int:
    assert gateway.process is not None  # noqa: S101  the agent runs
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if "VmRSS" in line)


def cases() -> Iterator[Case]:
    """Return all cases; `block` has one factor, as a higher one only takes longer."""
    for qos in (0, 1):
        yield Case("block", qos, FACTORS[0])
        for policy in ("latest", "decimate"):
            for factor in FACTORS:
                yield Case(policy, qos, factor)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="measured seconds of a case (4)")
    parser.add_argument(
        "--policy",
        choices=["block", "latest", "decimate"],
        help="measure one policy instead of all",
    )
    options = parser.parse_args()
    for case in cases():
        if options.policy in (None, case.policy):
            able = capacity(case.qos)
            seen = measure(case, case.factor * able, options.seconds)
            part = seen["goodput"] / able
            figures = "  ".join(f"{name} {figure:.0f}" for name, figure in seen.items())
            name = f"{case.policy:8} QoS {case.qos} {case.factor:3g}x"
            print(f"{name}  {part:4.0%} of {able:.0f}/s  {figures}", flush=True)


if __name__ == "__main__":
    main()
