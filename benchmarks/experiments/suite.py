"""How each experiment is measured: each step has its own broker, contender and load."""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.contenders.contender import Contender
from benchmarks.errors import BenchmarkError
from benchmarks.experiments.cases import BACKLOG, Case, Step
from benchmarks.experiments.costs import Memory, cpu_seconds, memory
from benchmarks.experiments.swaps import figures, push_in_turns
from benchmarks.load.broker import running_broker
from benchmarks.load.workload import Workload, driving
from tests.kit.children import Child, tail
from tests.kit.errors import KitError

_MEMORY_S = 1.0
_MEMORY_POLL_S = 0.25
_HEAD_START_S = 0.2
_START_RATE = 1_000
_SWAP_S = 12.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """The figures of one step by name."""

    experiment: str
    case: str
    qos: int
    round: int
    contender: str
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Turn:
    """A step under way: its broker's port, and the contender with its command line and log."""

    case: Case
    contender: Contender
    port: int
    command: list[str]
    log: Path

    def child(self) -> Child:
        """Return the contender as a process that is not started yet."""
        return self.contender.child(self.command, self.log)

    def workload(self, seconds: float) -> Workload:
        """Return the workload of the case."""
        case = self.case
        fill = case.shape.length if self.contender.has_windows and case.shape.length > 1 else 0
        return Workload(
            case.qos,
            seconds,
            case.shape,
            case.assets,
            case.rate,
            window=self.contender.window,
            fill=fill,
        )


class Suite:
    """Measures steps, each with a broker of its own.

    Args:
        load: path of the load generator.
        folder: folder for configurations and logs.
        seconds: measured seconds of a step.
    """

    def __init__(self, load: str, folder: Path, seconds: float) -> None:
        self._load = load
        self._folder = folder
        self._seconds = seconds

    def measure(self, step: Step) -> Measurement:
        """Run one step.

        Raises:
            BenchmarkError: a process did not do its part; the error has the end of the
                contender's log.
        """
        case, name = step.case, step.contender.name
        log = self._folder / f"{name}.log"
        with running_broker(self._folder) as port:
            command = step.contender.command(port, case.qos, case.shape)
            try:
                figures = self._figures(_Turn(case, step.contender, port, command, log))
            except KitError as exc:
                raise BenchmarkError(f"{name}: {exc}{tail(log)}") from exc
        return Measurement(case.experiment, case.name, case.qos, step.round, name, figures)

    def _figures(self, turn: _Turn) -> dict[str, float]:
        measured = {
            "memory": self._memory,
            "start": self._start,
            "backlog": self._backlog,
            "swap": self._swap,
        }
        return measured.get(turn.case.experiment, self._driven)(turn)

    def _driven(self, turn: _Turn) -> dict[str, float]:
        """Measure rate, latency, memory, and the processor time of all readings that count."""
        workload = turn.workload(turn.case.seconds(self._seconds))
        with (
            turn.child() as child,
            driving(self._load, turn.port, workload) as load,
        ):
            load.until_driving()
            before_s = cpu_seconds(child.pid)
            seen = load.outcome()
            spent_s = cpu_seconds(child.pid) - before_s
            occupied = memory(child.pid)
        shape, messages = turn.case.shape, turn.case.shape.messages
        return {
            **asdict(seen),
            **asdict(occupied),
            "unanswered": seen.sent - seen.answered,
            "messages_rate": seen.rate * messages,
            "sample_bytes_rate": seen.rate * shape.sample_bytes,
            "cpu_s_per_million": 1e6 * spent_s / max(1, seen.answered * messages),
        }

    def _memory(self, turn: _Turn) -> dict[str, float]:
        """Measure the largest memory while the contender works at full load."""
        pss, rss = 0, 0
        with (
            turn.child() as child,
            driving(self._load, turn.port, turn.workload(_MEMORY_S)) as load,
        ):
            load.until_driving()
            while load.is_running:
                seen = memory(child.pid)
                pss, rss = max(pss, seen.pss_bytes), max(rss, seen.rss_bytes)
                time.sleep(_MEMORY_POLL_S)
            load.outcome()
        return asdict(Memory(pss, rss))

    def _start(self, turn: _Turn) -> dict[str, float]:
        """Measure the time from the start of the process to its first answer, under readings."""
        with driving(self._load, turn.port, self._single(turn)) as load:
            time.sleep(_HEAD_START_S)
            started_ns = time.monotonic_ns()
            with turn.child():
                seen = load.outcome()
        return {"first_answer_s": (seen.first_answer_ns - started_ns) / 1e9}

    def _backlog(self, turn: _Turn) -> dict[str, float]:
        """Measure the time from the start of the process to its first and last answer to a backlog.

        The contender is connected once before, so that the broker keeps a session for it.
        """
        with (
            turn.child(),
            driving(self._load, turn.port, self._single(turn)) as load,
        ):
            load.outcome()
        workload = Workload(turn.case.qos, self._seconds, window=1_000, backlog=BACKLOG)
        with driving(self._load, turn.port, workload) as load:
            load.until_driving()
            started_ns = time.monotonic_ns()
            with turn.child():
                seen = load.outcome()
        if not seen.answered:
            raise BenchmarkError("no reading that waited at the broker was answered")
        return {
            "first_answer_s": (seen.first_answer_ns - started_ns) / 1e9,
            "last_answer_s": (seen.last_answer_ns - started_ns) / 1e9,
            "unanswered": seen.sent - seen.answered,
            "repeated": seen.repeated,
        }

    def _single(self, turn: _Turn) -> Workload:
        return Workload(turn.case.qos, 0.001, rate=_START_RATE, warmup_s=0.0)

    def _swap(self, turn: _Turn) -> dict[str, float]:
        """Measure pauses and losses while two models are pushed in turns."""
        trace = self._folder / "answers.txt"
        workload = replace(turn.workload(_SWAP_S), trace=trace)
        with (
            turn.child(),
            driving(self._load, turn.port, workload) as load,
        ):
            load.until_driving()
            pushes = push_in_turns(turn.port, _SWAP_S)
            seen = load.outcome()
        return {**figures(trace, pushes), "unanswered": seen.sent - seen.answered}
