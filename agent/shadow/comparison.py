"""What two models have answered to the same windows: counters, gates, and the evidence of them."""

from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from agent.config.shadow import Hard
from agent.config.shadow import Shadow as Settings
from agent.shadow.course import Course
from models.bundle.correlation import Correlation, block_of
from models.bundle.manifest import WindowSpec
from models.control.document import MAX_MESSAGE, Count, timestamp
from models.control.rollout import Evidence, GateEvidence
from models.rollout.plan import Gates
from serving.errors import InferenceError, ModelFailedError, TimedOutError
from serving.gates.answers import Answers
from serving.gates.evidence import Limits, Verdict
from serving.gates.hard import HardGates, HardLimits
from serving.gates.overrun import OverrunLimits
from serving.gates.pair import Pair
from serving.gates.profile import Profile
from serving.gates.storm import LEAST_WINDOWS, StormLimits
from serving.model import Model

FAILING: Final = frozenset({ModelFailedError.code, TimedOutError.code})
"""Codes of a model that fails by itself, whatever it is compared with."""
_MOST_WINDOWS: Final = 1_000_000


class Counters(BaseModel):
    """What is kept of a comparison over a restart.

    Attributes:
        since: when the comparison began.
        compared: windows that both models have answered.
        left_out: windows that only the champion has answered, by reason.
        gates: hits and misses of each statistical gate, by name.
    """

    model_config = ConfigDict(extra="ignore")

    since: str = ""
    compared: Count = 0
    left_out: dict[str, Count] = Field(default={})
    gates: dict[str, tuple[Count, Count]] = Field(default={})


class Comparison:
    """Compares a candidate with the champion of its stream.

    Args:
        champion: the model that serves.
        candidate: the model that is on trial.
        gates: the statistical gates.
        settings: limits of the hard gates, and the length of a block where the gates name none.
        latency_ms: milliseconds that the candidate may take for a window.

    Attributes:
        tripped: code and words of the hard gate that has ended the comparison; None without one.
        champion: how the answers of the champion are read.
        candidate: how those of the candidate are read.
        takes_every_window: whether windows count that the champion has not answered.

    Raises:
        IncompatibleBundleError: the models have different tasks.
    """

    takes_every_window = False

    def __init__(
        self, champion: Model, candidate: Model, gates: Gates, settings: Settings, latency_ms: float
    ) -> None:
        self.tripped: tuple[str, str] | None = None
        self.champion = Profile.of(champion.manifest, champion.document)
        self.candidate = Profile.of(candidate.manifest, candidate.document)
        known = block_of(_correlation(champion), _correlation(candidate))
        block_s = gates.block_s or settings.block_s or known
        shares = gates.model_dump(include={"disagreement", "alpha", "beta", "accept"})
        self._pair = Pair(Limits(block_s=block_s, **shares), self.champion, self.candidate)
        limits = _hard_limits(settings.hard, candidate.manifest.window, block_s, latency_ms)
        is_scored = candidate.manifest.task != "regression"
        documents = champion.document, candidate.document
        self._hard = HardGates(limits, *documents, scored=is_scored)
        self._champion_ms: float | None = None
        self._since = timestamp()
        self._compared = 0
        self._left_out: Counter[str] = Counter()
        self._course = Course(settings.answers)

    @property
    def verdict(self) -> Verdict:
        """Whether the candidate is shown to be worse, or no worse; `open` if neither is."""
        return self._pair.evidence.verdict

    @property
    def count(self) -> int:
        """Windows that were offered so far; it only rises."""
        return self._compared + sum(self._left_out.values())

    def leave_out(self, reason: str, windows: int) -> None:
        """Count windows that the candidate has not answered."""
        if windows:
            self._left_out[reason] += windows

    def took_champion(self, milliseconds: float) -> None:
        """Take how long the champion has needed for a window."""
        self._champion_ms = milliseconds * self._pair.evidence.limits.times_slower

    def took(self, milliseconds: float) -> None:
        """Take how long the candidate has needed for a window, in one run."""
        # Where the gateway is busy, both are slow; twice as slow is what no load explains.
        trip = self._hard.took(self._champion_ms, milliseconds)
        if trip is not None and self.tripped is None:
            self.tripped = trip.gate, trip.message

    def fail(self, error: InferenceError) -> None:
        """Take what the candidate has failed with."""
        self.tripped = self.tripped or (error.code, str(error)[:MAX_MESSAGE])

    def add(self, at_ms: NDArray[np.int64], champion: Answers, candidate: Answers) -> None:
        """Take answers of both models to the same windows, `[n]` each, in order.

        Args:
            at_ms: time of each window's end, milliseconds since 1970.
            champion: answers of the champion.
            candidate: answers of the candidate.
        """
        self._compared += len(at_ms)
        self._course.add(at_ms, champion.output, candidate.output)
        trip = self._hard.add(champion, candidate)
        if trip is not None:
            self.tripped = self.tripped or (trip.gate, trip.message)
        elif self.tripped is None:
            self._pair.add(at_ms, champion, candidate)

    def document(self, **about: Any) -> Evidence:  # noqa: ANN401  fields of the document
        """The evidence, for publishing.

        Args:
            about: its fields `stream`, `rollout`, `champion` and `candidate`.
        """
        found = self._pair.evidence
        code, message = self.tripped or ("", found.said)
        return Evidence.model_construct(
            **about,
            since=self._since,
            time=timestamp(),
            block_s=found.limits.block_s,
            compared=self._compared,
            left_out=dict(self._left_out),
            gates=self._gates(),
            answers=tuple(self._course.points),
            verdict=found.verdict,
            tripped=code,
            message=message[:MAX_MESSAGE],
        )

    def _gates(self) -> dict[str, GateEvidence]:
        return {
            name: GateEvidence.model_construct(
                kind=gate.kind,
                hits=gate.hits,
                misses=gate.misses,
                limit=gate.limit,
                log_e=round(gate.log_e, 6),
            )
            for name, gate in self._pair.evidence.gates.items()
        }

    def counters(self) -> Counters:
        """What is to be kept over a restart."""
        gates = self._pair.evidence.gates.items()
        return Counters(
            since=self._since,
            compared=self._compared,
            left_out=dict(self._left_out),
            gates={name: (gate.hits, gate.misses) for name, gate in gates},
        )

    def restore(self, kept: Counters) -> None:
        """Go on from what was kept.

        The block in which the agent was restarted may count twice.
        """
        found = self._pair.evidence
        self._since, self._compared = kept.since, kept.compared
        self._left_out = Counter(kept.left_out)
        found.disagreeing, agreeing = kept.gates.get("disagreement", (0, 0))
        found.blocks = found.disagreeing + agreeing
        found.only_candidate, found.only_champion = kept.gates.get("direction", (0, 0))
        for name, gate in found.further.items():
            gate.hits, gate.misses = kept.gates.get(name, (0, 0))


def _correlation(model: Model) -> Correlation | None:
    return model.document.correlation if model.document is not None else None


def _hard_limits(limits: Hard, window: WindowSpec, block_s: float, latency_ms: float) -> HardLimits:
    """The limits for one bundle: a storm lasts for two blocks of time, and it has a budget."""
    storm = limits.storm
    if window.sample_period_ms is not None:
        each_s = window.sample_period_ms * window.hop / 1000
        count = min(max(round(2 * block_s / each_s), storm.windows, LEAST_WINDOWS), _MOST_WINDOWS)
        storm = StormLimits(**storm.model_dump() | {"windows": count})
    overrun = OverrunLimits(latency_ms=latency_ms or None)
    return HardLimits(constant=limits.constant, range=limits.range, storm=storm, overrun=overrun)
