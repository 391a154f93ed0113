"""What is asked of a contender, and what the load generator saw of it.

Every reading is one JSON object on `plant/l1/<asset>/telemetry`: a source timestamp (ms) and eight
signals. Every answer is due on `plant/l1/<asset>/_inference/forest` and carries that timestamp.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.children import BenchmarkError

STREAM = "forest"
SIGNALS = ("pressure", "flow", "temperature", "current", "vibration", "speed", "level", "torque")
READINGS = "plant/l1/+/telemetry"
ANSWERS = f"plant/l1/+/_inference/{STREAM}"
LARGEST_VALUE = 100.0
"""Every signal is spread evenly from 0 to this."""
PICKLE, REGISTRY, KEYS = "forest.pickle", "registry", "keys"
"""The model in the benchmark's folder, as the plain way and as millhand take it."""

_WAIT_S = 20
_DRAIN_S = 5
_MARGIN_S = 10


@dataclass(frozen=True, slots=True)
class Workload:
    """One load: at `rate` readings a second, or as fast as answers come.

    Without a rate at most `window` readings are unanswered at a time.
    """

    qos: int
    seconds: float
    rate: int = 0
    window: int = 1
    warmup_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the load generator printed; see load.c.

    Attributes:
        sent: readings that count, from the first answer on.
        answered: of those, how many were answered before the generator gave up waiting.
        repeated: answers to a reading that had been answered.
        unknown: answers that name no reading.
        rate: answers a second in the measured time.
        p50_us: latency of those answers, from the publishing of the reading; p99 and p99.9 alike.
        first_answer_ns: when the first answer came, on the monotonic clock.
    """

    sent: int
    answered: int
    repeated: int
    unknown: int
    rate: float
    p50_us: float
    p99_us: float
    p999_us: float
    first_answer_ns: int


@contextmanager
def driving(program: str, port: int, workload: Workload) -> Iterator[subprocess.Popen[str]]:
    """Run the load generator against the broker at `port`; ended when the context is left."""
    argv = [program, "--port", str(port), "--qos", str(workload.qos), "--rate", str(workload.rate)]
    argv += ["--window", str(workload.window)]
    argv += ["--warmup", str(workload.warmup_s), "--seconds", str(workload.seconds)]
    argv += ["--answers", ANSWERS, "--signals", ",".join(SIGNALS), "--wait", str(_WAIT_S)]
    load = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with load:
        try:
            yield load
        finally:
            load.kill()


def outcome(load: subprocess.Popen[str], workload: Workload) -> Outcome:
    """Wait for the load generator and return its result.

    Raises:
        BenchmarkError: it failed; most often because nobody answered.
    """
    limit_s = _WAIT_S + workload.warmup_s + workload.seconds + _DRAIN_S + _MARGIN_S
    try:
        printed, said = load.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired as exc:
        raise BenchmarkError(f"the load generator did not end within {limit_s:g} s") from exc
    if load.returncode:
        raise BenchmarkError(said.strip() or f"the load generator exited with {load.returncode}")
    return Outcome(**json.loads(printed))


def answer_topic(reading_topic: str) -> str:
    """Return where the answer to a reading is due."""
    return f"{reading_topic.removesuffix('telemetry')}_inference/{STREAM}"
