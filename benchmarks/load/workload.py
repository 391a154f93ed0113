"""Workloads: what the load generator sends, and what it measures.

A reading has a source timestamp (ms) and eight signals of one asset. A raw block has only samples
of three axes, the first of which is the number of the block. Every answer is expected on
`plant/l1/<asset>/_inference/<stream>`, with that timestamp or number.
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
"""The values of every signal are spread evenly from 0 to this."""
PICKLE, GRAPH, REGISTRY, KEYS = "forest.pickle", "forest.onnx", "registry", "keys"
"""Files and folders of the model in the benchmark's folder."""

_ANSWERS = "plant/l1/+/_inference/+"
_AXES = ("x", "y", "z")
_SAMPLE_RATE_HZ = 25_600
_WAIT_S = 20
_DRAIN_S = 5
_MARGIN_S = 10
_FILL_S = 300


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of readings.

    Attributes:
        name: name of the shape in generator.c.
        stream: stream of the model that answers.
        readings: topic filter of the readings.
        last: last level of the topic of the message that completes a reading.
        messages: number of messages of a reading.
        length: number of readings in a window; each further reading completes a window.
        signals: names of the signals of an asset.
        samples: number of samples of each signal in a reading.
        sample_period_ms: milliseconds from one sample to the next; None where there is only one.
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
        """The number of samples in a window."""
        return self.length * self.samples

    @property
    def sample_bytes(self) -> int:
        """The size of a reading's samples as float32, bytes."""
        return 4 * self.samples * len(self.signals)


def _block(samples: int) -> Shape:
    stream, last = f"vibration-{samples}", "vibration"
    readings, period_ms = f"plant/l1/+/{last}", 1000 / _SAMPLE_RATE_HZ
    return Shape("blocks", stream, readings, last, 1, 1, _AXES, samples, period_ms)


ROWS = Shape("rows", "forest", "plant/l1/+/telemetry", "telemetry", messages=1, length=1)
"""Each reading is one JSON object."""
SCALARS = Shape("scalars", "trend", "plant/l1/+/raw/+", SIGNALS[-1], len(SIGNALS), length=60)
"""Each signal has a topic and comes as a JSON scalar with a timestamp; windows of 60 readings."""
BLOCK_1K, BLOCK_4K = BLOCKS = (_block(1024), _block(4096))
"""Each reading is a block of float32, signals interleaved; a window is a block."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The options of one run of the load generator.

    Attributes:
        qos: QoS of readings and answers.
        seconds: measured seconds.
        shape: shape of the readings.
        assets: number of assets, which take turns.
        rate: readings a second; 0: as fast as answers come.
        window: most messages that are unanswered at a time, where there is no rate.
        warmup_s: seconds before the measured ones.
        fill: number of readings of every asset that fill its window, before those that count.
        backlog: number of readings that are left at the broker, and whose answers are then awaited;
            0: readings are sent while answers come.
        trace: file for the time of each answer; None: none is written.
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
        """Return the options for the command line."""
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
    """The results that the load generator printed; see answers.h.

    Attributes:
        sent: number of readings that count, which are those after the first answer.
        answered: number of those that were answered before the generator stopped waiting.
        repeated: number of answers to a reading that was answered before.
        unknown: number of answers that belong to no reading.
        rate: readings a second that were answered in the measured time.
        p50_us: median latency of these from the publish of a reading to its answer, microseconds.
        p99_us: 99th percentile of the latency, microseconds.
        p999_us: 99.9th percentile of the latency, microseconds.
        first_answer_ns: when the first answer came, nanoseconds of the monotonic clock.
        last_answer_ns: when the last answer came, nanoseconds of the monotonic clock.
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
    """The load generator as a running process.

    Args:
        child: the process.
        workload: its options.
    """

    def __init__(self, child: subprocess.Popen[bytes], workload: Workload) -> None:
        self._child = child
        self._workload = workload

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._child.poll() is None

    def until_driving(self) -> None:
        """Wait until it sends the readings that count, or has left its backlog at the broker.

        Raises:
            BenchmarkError: it failed, most often because no answer came.
        """
        assert self._child.stdout is not None  # noqa: S101  `driving` opens a pipe
        if self._child.stdout.readline() != b"driving\n":  # the generator waits for a bounded time
            self.outcome()

    def outcome(self) -> Outcome:
        """Wait for its end, and return its results.

        Raises:
            BenchmarkError: it failed, or did not end in time.
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
    """Run the load generator with the broker at `port` until the context is left."""
    argv = [program, "--port", str(port), *workload.options]
    # Unbuffered, so that `readline` reads no more than the first line.
    child = subprocess.Popen(argv, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with child:
        try:
            yield Load(child, workload)
        finally:
            child.kill()


def answer_topic(reading_topic: str) -> str:
    """Return the topic on which the answer to a row is expected."""
    return f"{reading_topic.removesuffix(ROWS.last)}_inference/{ROWS.stream}"
