"""What is asked of a contender, and what the load generator saw of it.

A reading carries a source timestamp (ms) and eight signals of one asset; as a raw block nothing but
samples of three axes, of which the first is its number. Every answer is due on
`plant/l1/<asset>/_inference/<stream>` and carries that timestamp or number.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError

SIGNALS = ("pressure", "flow", "temperature", "current", "vibration", "speed", "level", "torque")
LARGEST_VALUE = 100.0
"""Every signal is spread evenly from 0 to this."""
PICKLE, GRAPH, REGISTRY, KEYS = "forest.pickle", "forest.onnx", "registry", "keys"
"""The model in the benchmark's folder, as the contenders take it."""

_ANSWERS = "plant/l1/+/_inference/+"
_AXES = ("x", "y", "z")
_SAMPLE_RATE_HZ = 25_600
_WAIT_S = 20
_DRAIN_S = 5
_MARGIN_S = 10
_FILL_S = 300


@dataclass(frozen=True, slots=True)
class Shape:
    """How a reading comes.

    Attributes:
        name: as load.c calls it.
        stream: the model that answers.
        readings: topic filter.
        last: the last level of the topic after whose message the answer is due.
        messages: a reading.
        length: readings in a window; with each reading one more window is full.
        signals: of an asset.
        samples: of each signal in a reading.
        sample_period_ms: from one of them to the next; None where there is but one.
    """

    name: str
    stream: str
    readings: str
    last: str
    messages: int
    length: int
    signals: tuple[str, ...] = SIGNALS
    samples: int = 1
    sample_period_ms: float | None = None

    @property
    def window(self) -> int:
        """Samples in a window."""
        return self.length * self.samples

    @property
    def sample_bytes(self) -> int:
        """What a reading's samples are as float32."""
        return 4 * self.samples * len(self.signals)


def _block(samples: int) -> Shape:
    stream, last = f"vibration-{samples}", "vibration"
    readings, period_ms = f"plant/l1/+/{last}", 1000 / _SAMPLE_RATE_HZ
    return Shape("blocks", stream, readings, last, 1, 1, _AXES, samples, period_ms)


ROWS = Shape("rows", "forest", "plant/l1/+/telemetry", "telemetry", messages=1, length=1)
"""One JSON object a reading."""
SCALARS = Shape("scalars", "trend", "plant/l1/+/raw/+", SIGNALS[-1], len(SIGNALS), length=60)
"""One JSON scalar with its timestamp a signal and topic, and windows of 60 readings."""
BLOCK_1K, BLOCK_4K = BLOCKS = (_block(1024), _block(4096))
"""Raw float32, interleaved, and nothing else; a window is a block."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One load: at `rate` readings a second, or as fast as answers come.

    Without a rate at most `window` messages are unanswered at a time.

    Attributes:
        fill: readings of every asset that fill its window, before those that count.
        backlog: readings to leave at the broker instead, whose answers are then awaited.
        trace: a file for when each answer came.
    """

    qos: int
    seconds: float
    shape: Shape = ROWS
    assets: int = 100
    rate: int = 0
    window: int = 1
    warmup_s: float = 0.5
    fill: int = 0
    backlog: int = 0
    trace: Path | None = None

    @property
    def options(self) -> list[str]:
        """Return the options of the load generator."""
        given = {
            "qos": self.qos,
            "shape": self.shape.name,
            "assets": self.assets,
            "rate": self.rate,
            "window": max(1, self.window // self.shape.messages),
            "fill": self.fill,
            "warmup": self.warmup_s,
            "seconds": self.seconds,
            "wait": _WAIT_S,
            "backlog": self.backlog,
            "answers": _ANSWERS,
            "signals": ",".join(self.shape.signals),
            "samples": self.shape.samples,
        }
        if self.trace is not None:
            given["trace"] = self.trace
        return [part for name, value in given.items() for part in (f"--{name}", str(value))]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the load generator printed; see answers.h.

    Attributes:
        sent: readings that count, from the first answer on.
        answered: of those, how many were answered before the generator gave up waiting.
        repeated: answers to a reading that had been answered.
        unknown: answers that name no reading.
        rate: readings a second, answered in the measured time.
        p50_us: latency of those answers, from the publishing of the reading; p99 and p99.9 alike.
        first_answer_ns: when the first answer came, on the monotonic clock; the last alike.
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
    last_answer_ns: int


class Load:
    """The load generator at work.

    Args:
        child: its process.
        workload: what it was asked for.
    """

    def __init__(self, child: subprocess.Popen[bytes], workload: Workload) -> None:
        self._child = child
        self._workload = workload

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._child.poll() is None

    def until_driving(self) -> None:
        """Wait until it sends the readings that count, or has left its backlog at the broker.

        Raises:
            BenchmarkError: it failed; most often because nobody answered.
        """
        assert self._child.stdout is not None  # noqa: S101  it is a pipe
        if self._child.stdout.readline() != b"driving\n":  # the generator's own waits are bounded
            self.outcome()

    def outcome(self) -> Outcome:
        """Wait for its end and return its result.

        Raises:
            BenchmarkError: as `until_driving`.
        """
        workload = self._workload
        limit_s = 2 * _WAIT_S + workload.warmup_s + workload.seconds + _DRAIN_S + _MARGIN_S
        if workload.fill or workload.backlog:
            limit_s += _FILL_S
        try:
            printed, said = self._child.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired as exc:
            raise BenchmarkError(f"the load generator did not end within {limit_s:g} s") from exc
        if self._child.returncode:
            why = said.decode().strip() or f"it exited with {self._child.returncode}"
            raise BenchmarkError(f"the load generator stopped: {why}")
        return Outcome(**json.loads(printed.splitlines()[-1]))


@contextmanager
def driving(program: str, port: int, workload: Workload) -> Iterator[Load]:
    """Run the load generator against the broker at `port`; ended when the context is left."""
    argv = [program, "--port", str(port), *workload.options]
    # Unbuffered, so that reading the first line takes nothing of the rest.
    child = subprocess.Popen(argv, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with child:
        try:
            yield Load(child, workload)
        finally:
            child.kill()


def answer_topic(reading_topic: str) -> str:
    """Return where the answer to a row is due."""
    return f"{reading_topic.removesuffix(ROWS.last)}_inference/{ROWS.stream}"
