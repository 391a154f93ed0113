"""What blocks of time say about two models that answer the same windows: counters, and a verdict.

Rows of a plant follow one another closely, so that a row says little that the one before it has
not said. Each block of time, which is at least as long as the plant remembers, therefore counts
once: by its first row, and by its first row on which the models disagree. From the counters
anybody can compute the verdict again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from serving.gates.e_values import log_below, trials_to_show
from serving.gates.gate import Gate

Verdict = Literal["worse", "different", "no worse", "open"]
GATES: Final = ("disagreement", "direction")
"""Gates that stop a candidate by its alarms."""
UNDECIDED: Final = frozenset({"direction"})
"""Gates that show a candidate to be different. Alarms that are missing may be false ones that are
avoided, and alarms that are new may be failures found: without labels only a person can tell."""
Acceptable = Literal["direction", "rank"]
"""Gates that a person may accept: both trip where a candidate has learned a change of the plant."""
FURTHER: Final = ("rank", "latency")
"""Gates that may be added: whether the candidate finds the present more unusual than the champion
does, each among what it was trained on, and whether it is slow. All gates share `Limits.alpha`."""
MOST_BLOCKS: Final = 1_000_000
Share = Annotated[float, Field(gt=0, lt=1)]


class Limits(BaseModel):
    """When a candidate is shown to be worse than the champion, and when no worse.

    Attributes:
        block_s: seconds of a block; at least as long as the plant's signals stay correlated.
        disagreement: share of the rows on which the candidate may disagree with the champion.
        slow: share of the blocks in which the candidate may be slow.
        times_slower: times the champion's latency from which on it is slow, if it is also beyond
            its budget.
        alpha: probability that a candidate is stopped that is no worse, over all looks together.
        beta: probability that a candidate is let through that disagrees more than it may.
        accept: gates that are counted, but do not stop the candidate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    block_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = 600.0
    disagreement: Share = 0.03
    slow: Share = 0.1
    times_slower: Annotated[float, Field(ge=1, le=1000)] = 2.0
    alpha: Share = 0.01
    beta: Share = 0.01
    accept: tuple[Acceptable, ...] = ()

    def blocks_needed(self, disagreeing: int = 0) -> int | None:
        """Blocks after which a candidate is shown to be no worse if no further one disagrees.

        Args:
            disagreeing: blocks whose first row has disagreed so far.

        Returns:
            The number; None if a million blocks do not suffice.
        """
        return trials_to_show(disagreeing, self.disagreement, self.beta, MOST_BLOCKS)


@dataclass(slots=True)
class Evidence:
    """Counters of the blocks that were compared.

    Attributes:
        limits: when a candidate is shown to be worse, or no worse.
        blocks: blocks whose first row was compared.
        disagreeing: those among them whose first row the models disagree on.
        only_candidate: blocks in whose first disagreement only the candidate has an alarm.
        only_champion: blocks in whose first disagreement only the champion has one.
        directed: whether the two counters before are kept.
        further: counters of further gates, by name.
    """

    limits: Limits = field(default_factory=Limits)
    blocks: int = 0
    disagreeing: int = 0
    only_candidate: int = 0
    only_champion: int = 0
    directed: bool = True
    further: dict[str, Gate] = field(default_factory=dict)

    @classmethod
    def begun(cls, limits: Limits, *, directed: bool = True, further: Sequence[str] = ()) -> Self:
        """Evidence without a block yet.

        Args:
            limits: when a candidate is shown to be worse, or no worse.
            directed: whether it is counted which of the models has the alarm.
            further: names of further gates, of `FURTHER`.
        """
        # One half: either model finds the present more unusual equally often.
        known = {"rank": Gate("rate", 0.5), "latency": Gate("rate", limits.slow)}
        return cls(limits, directed=directed, further={name: known[name] for name in further})

    @property
    def gates(self) -> dict[str, Gate]:
        """Counters of all gates that stop a candidate, by name."""
        agreeing = self.blocks - self.disagreeing
        found = {"disagreement": Gate("rate", self.limits.disagreement, self.disagreeing, agreeing)}
        if self.directed:
            found["direction"] = Gate("sign", 0.5, self.only_candidate, self.only_champion)
        return {**found, **self.further}

    def log_e(self) -> dict[str, float]:
        """Logarithms of the e-values of the gates that stop a candidate, by gate."""
        return {name: gate.log_e for name, gate in self.gates.items()}

    @property
    def verdict(self) -> Verdict:
        """Whether the candidate is shown to be worse, no worse, or different: `UNDECIDED`.

        It is `open` if nothing is shown.
        """
        if tripped := self.tripped:
            return "different" if UNDECIDED.issuperset(tripped) else "worse"
        agreeing = self.blocks - self.disagreeing
        shown = log_below(self.disagreeing, agreeing, self.limits.disagreement)
        return "no worse" if shown >= log(1 / self.limits.beta) else "open"

    @property
    def tripped(self) -> list[str]:
        """Gates that show the candidate to be worse, or different, without those accepted."""
        found = self.log_e()
        wanted = log(len(found) / self.limits.alpha)
        accepted = self.limits.accept
        return [gate for gate, value in found.items() if value >= wanted and gate not in accepted]

    @property
    def said(self) -> str:
        """The evidence in words, such as "41 of 183 blocks, 0 disagree, limit 3 %, needs 142 more".

        A candidate that is worse or different is told with the gates that show it.
        """
        if tripped := self.tripped:
            return "; ".join(
                f"{'different' if name in UNDECIDED else 'worse'} by {name}: {self._against(name)}"
                for name in tripped
            )
        needed = self.limits.blocks_needed(self.disagreeing)
        limit = percent(self.limits.disagreement)
        if needed is None:
            return f"{self.blocks} blocks, {self.disagreeing} disagree, limit {limit}: too many"
        more = max(0, needed - self.blocks)
        end = f", needs {more} more" if more else ": no worse"
        of = f" of {needed}" if more else ""
        return f"{self.blocks}{of} blocks, {self.disagreeing} disagree, limit {limit}{end}"

    def _against(self, name: str) -> str:
        """What a gate has counted, in words."""
        gate = self.gates[name]
        both = gate.hits + gate.misses
        limit = percent(gate.limit)
        return {
            "disagreement": f"{gate.hits} of {both} blocks disagree, limit {limit}",
            "direction": f"in {gate.hits} blocks only the candidate had an alarm, in {gate.misses} "
            "only the champion",
            "rank": f"in {gate.hits} of {both} blocks it finds the present more unusual than the "
            "champion does",
            "latency": f"slow in {gate.hits} of {both} blocks, limit {limit}",
        }[name]


def percent(share: float) -> str:
    """A share in words, such as "3 %"."""
    return f"{100 * share:.3g} %"
