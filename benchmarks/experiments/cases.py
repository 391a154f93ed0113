"""The experiments, and the cases of each: the settings with which it is run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.contenders.contender import Contender
from benchmarks.load.workload import BLOCK_1K, BLOCK_4K, ROWS, SCALARS, Shape

SWAP_RATE = 5_000
"""Readings a second while models are swapped."""
BACKLOG = 100_000
"""Number of readings that wait at the broker when a contender starts."""
FEW_TOPICS, MANY_TOPICS = "8 topics", "10,000 topics"

_RARE = 1_000
_RARE_S = 10.0


@dataclass(frozen=True, slots=True)
class Case:
    """One setting of an experiment.

    Attributes:
        experiment: name of the experiment.
        qos: QoS of readings and answers.
        name: name in the tables; empty where the experiment has only one case for a QoS.
        shape: shape of the readings.
        assets: number of assets, which take turns.
        rate: readings a second; 0: as fast as answers come.
    """

    experiment: str
    qos: int
    name: str = ""
    shape: Shape = ROWS
    assets: int = 100
    rate: int = 0

    def seconds(self, asked: float) -> float:
        """Return the seconds to measure, at low rates enough for a 99.9th percentile."""
        return max(asked, _RARE_S) if 0 < self.rate < _RARE else asked


def _latency(rate: int) -> tuple[Case, ...]:
    return tuple(Case("latency", qos, f"{rate:,}/s", rate=rate) for qos in (0, 1))


def _topics(name: str, assets: int) -> tuple[Case, ...]:
    return tuple(Case("topics", qos, name, SCALARS, assets) for qos in (0, 1))


def _blocks(shape: Shape) -> tuple[Case, ...]:
    return tuple(Case("blocks", qos, f"{shape.samples:,} samples", shape) for qos in (0, 1))


EXPERIMENTS: dict[str, tuple[Case, ...]] = {
    "throughput": (Case("throughput", 0), Case("throughput", 1)),
    "latency": (*_latency(100), *_latency(1_000), *_latency(5_000)),
    "topics": (*_topics(FEW_TOPICS, 1), *_topics("800 topics", 100), *_topics(MANY_TOPICS, 1_250)),
    "blocks": (*_blocks(BLOCK_1K), *_blocks(BLOCK_4K)),
    "memory": (Case("memory", 1),),
    "start": (Case("start", 1),),
    "backlog": (Case("backlog", 1),),
    "swap": (Case("swap", 1, rate=SWAP_RATE),),
}


@dataclass(frozen=True, slots=True)
class Step:
    """The turn of one contender in one case."""

    case: Case
    round: int
    contender: Contender

    def __str__(self) -> str:
        case = self.case
        parts = (f"round {self.round}", case.experiment, case.name, f"QoS {case.qos}")
        return ", ".join(part for part in (*parts, self.contender.name) if part)


def steps(contenders: Sequence[Contender], experiments: Iterable[str], rounds: int) -> list[Step]:
    """Return all steps; the contenders take turns within a round and a case."""
    return [
        Step(case, number, contender)
        for number in range(1, rounds + 1)
        for experiment in experiments
        for case in EXPERIMENTS[experiment]
        for contender in contenders
        if experiment in contender.experiments and case.rate <= contender.max_rate
    ]
