"""`python -m benchmarks.neighbours`: the latency of a light model beside a heavy one in one agent.

One thread serves both models. Readings of the light model come at a steady rate: first alone, then
together with as many of the heavy model as keep the agent busy about half of the time. The two
cases take turns. Printed are p50 and p99 of the time from the publish of a light reading to its
answer, the time that a batch of the heavy model takes, and p99 as a multiple of that.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.overload import ASSETS, Driver
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline

LIGHT, HEAVY = "light", "heavy"
BATCH, LAYERS = 16, 3_000
"""With these layers a batch of one reading of the heavy model takes about 20 ms."""
LIGHT_RATE, HEAVY_RATE = 500.0, 25.0
_WARM_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The latencies of the light model, and the time of a batch of the heavy one, milliseconds."""

    p50_ms: float
    p99_ms: float
    batch_ms: float


def measure(qos: int, heavy_rate: float, seconds: float) -> Seen:
    """Drive one agent.

    Args:
        qos: QoS of readings and answers.
        heavy_rate: readings of the heavy model a second, beside those of the light one.
        seconds: measured seconds.
    """
    rate = LIGHT_RATE + heavy_rate
    part = heavy_rate / rate

    def topic_of(number: int) -> str:
        """Return the topic of a reading; heavy ones are spread evenly among light ones."""
        is_heavy = int((number + 1) * part) > int(number * part)
        return f"plant/l1/p{number % ASSETS}/{HEAVY if is_heavy else LIGHT}"

    with _serving(qos) as (gateway, port):
        driver = Driver(port, qos, topic_of)
        gateway.start_serving()
        driver.drive(rate, _WARM_UP_S)
        before = len(driver.answers)
        driver.drive(rate, seconds)
        seen = driver.answers[before:]
        driver.settle()
    took_ms = sorted(one.took_s * 1e3 for one in seen if one.topic.endswith(LIGHT))
    batch_ms = driver.metrics["streams"][HEAVY]["batch_ms"]
    return Seen(took_ms[len(took_ms) // 2], took_ms[len(took_ms) * 99 // 100], batch_ms)


@contextmanager
def _serving(qos: int) -> Iterator[tuple[Gateway, int]]:
    pipelines = [
        telemetry_pipeline(stream, qos=qos, topic=f"plant/{{line}}/{{asset}}/{stream}")
        for stream in (HEAVY, LIGHT)
    ]
    limits: dict[str, object] = {"max_batch": BATCH, "metrics_s": 0.1}
    with tempfile.TemporaryDirectory(prefix="millhand-neighbours-") as name:
        folder = Path(name)
        with mosquitto(folder / "broker", max_queued_messages=0, max_inflight_messages=0) as broker:
            sections = {"limits": limits}
            with Gateway(folder / "gw", broker.port, pipelines, sections=sections) as gateway:
                gateway.keep(linear_bundle(HEAVY, 1, [1.0, 10.0], layers=LAYERS))
                gateway.keep(linear_bundle(LIGHT, 1, [1.0, 10.0]))
                yield gateway, broker.port


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbours", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds (5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured seconds of a case (4)")
    options = parser.parse_args()
    cases = [(qos, rate) for qos in (0, 1) for rate in (0.0, HEAVY_RATE)]
    seen: dict[tuple[int, float], list[Seen]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for case in cases:
            seen[case].append(measure(*case, options.seconds))
    for (qos, rate), rounds in seen.items():
        name = f"QoS {qos} {'beside a heavy model' if rate else 'alone':20}"
        p50, p99 = (median(getattr(one, key) for one in rounds) for key in ("p50_ms", "p99_ms"))
        line = f"{name}  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms"
        if rate:
            batch = median(one.batch_ms for one in rounds)
            times = sorted(one.p99_ms / one.batch_ms for one in rounds)
            line += f"  heavy batch {batch:.1f} ms  p99 {median(times):.2f}x "
            line += f"({times[0]:.2f}-{times[-1]:.2f}) of it"
        print(line, flush=True)


if __name__ == "__main__":
    main()
