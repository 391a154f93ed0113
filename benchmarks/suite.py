"""The experiments, and the order in which the contenders take turns."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.broker import running_broker
from benchmarks.children import BenchmarkError, running, tail
from benchmarks.contenders import Contender
from benchmarks.memory import pss_bytes
from benchmarks.workload import Workload, driving, outcome

FIXED_RATE = 1000
"""Readings a second at which latency is measured."""
EXPERIMENTS = {"throughput": (0, 1), "latency": (0, 1), "memory": (1,), "start": (1,)}
"""Every experiment with its levels of QoS."""

_MEMORY_S = 1.0
_MEMORY_POLL_S = 0.25
_HEAD_START_S = 0.2


@dataclass(frozen=True, slots=True)
class Step:
    """One contender's turn in one experiment."""

    experiment: str
    qos: int
    round: int
    contender: Contender


@dataclass(frozen=True, slots=True)
class Measurement:
    """The figures of one step, by name."""

    experiment: str
    qos: int
    round: int
    contender: str
    figures: dict[str, float]


def steps(contenders: Sequence[Contender], experiments: Iterable[str], rounds: int) -> list[Step]:
    """Return all steps: within a round and an experiment, the contenders alternate."""
    return [
        Step(experiment, qos, number, contender)
        for number in range(1, rounds + 1)
        for experiment in experiments
        for qos in EXPERIMENTS[experiment]
        for contender in contenders
    ]


class Suite:
    """Measures steps, each with a broker of its own.

    Args:
        load: path of the load generator.
        folder: for configurations and logs.
        seconds: measured time of a throughput or latency step.
    """

    def __init__(self, load: str, folder: Path, seconds: float) -> None:
        self._load = load
        self._folder = folder
        self._seconds = seconds

    def measure(self, step: Step) -> Measurement:
        """Run one step.

        Raises:
            BenchmarkError: a process did not do its part; the contender's log is told.
        """
        name = step.contender.name
        log = self._folder / f"{name}.log"
        with running_broker(self._folder) as port:
            try:
                figures = self._figures(step, port, log)
            except BenchmarkError as exc:
                raise BenchmarkError(f"{name}: {exc}\n{tail(log)}") from exc
        return Measurement(step.experiment, step.qos, step.round, name, figures)

    def _figures(self, step: Step, port: int, log: Path) -> dict[str, float]:
        command = step.contender.command(port, step.qos)
        window = step.contender.window
        if step.experiment == "start":
            return self._start(port, step.qos, command, log)
        if step.experiment == "memory":
            return self._memory(port, Workload(step.qos, _MEMORY_S, window=window), command, log)
        if step.experiment == "latency":
            workload = Workload(step.qos, self._seconds, rate=FIXED_RATE)
        else:
            workload = Workload(step.qos, self._seconds, window=window)
        with running(command, log), driving(self._load, port, workload) as load:
            seen = outcome(load, workload)
        return {**asdict(seen), "unanswered": seen.sent - seen.answered}

    def _memory(
        self, port: int, workload: Workload, command: list[str], log: Path
    ) -> dict[str, float]:
        """Proportional set size, the largest seen while the contender works at full load."""
        most = 0
        with running(command, log) as child, driving(self._load, port, workload) as load:
            while load.poll() is None:
                most = max(most, pss_bytes(child.pid))
                time.sleep(_MEMORY_POLL_S)
            outcome(load, workload)
        return {"pss_bytes": most}

    def _start(self, port: int, qos: int, command: list[str], log: Path) -> dict[str, float]:
        """Time from the start of the process to its first answer, while readings flow."""
        workload = Workload(qos, 0.001, rate=FIXED_RATE, warmup_s=0.0)
        with driving(self._load, port, workload) as load:
            time.sleep(_HEAD_START_S)
            started_ns = time.monotonic_ns()
            with running(command, log):
                seen = outcome(load, workload)
        return {"first_answer_s": (seen.first_answer_ns - started_ns) / 1e9}
