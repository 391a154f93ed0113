"""What blocks of time say about two models that answer the same windows: counters, and a verdict.

Rows of a plant follow one another closely, so that a row says little that the one before it has
not said. Each block of time, which is at least as long as the plant remembers, therefore counts
once: by its first row, and by its first row on which the models disagree. From the counters
anybody can compute the verdict again.
"""

from dataclasses import dataclass, field
from math import log
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.gates.e_values import log_above, log_below, log_unequal, trials_to_show

Verdict = Literal["worse", "no worse", "open"]
GATES: Final = ("disagreement", "direction")
"""Gates that stop a candidate; they share `Limits.alpha`."""
MOST_BLOCKS: Final = 1_000_000
Share = Annotated[float, Field(gt=0, lt=1)]


class Limits(BaseModel):
    """When a candidate is shown to be worse than the champion, and when no worse.

    Attributes:
        block_s: seconds of a block; at least as long as the plant's signals stay correlated.
        disagreement: share of the rows on which the candidate may disagree with the champion.
        alpha: probability that a candidate is stopped that is no worse, over all looks together.
        beta: probability that a candidate is let through that disagrees more than it may.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    block_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = 600.0
    disagreement: Share = 0.03
    alpha: Share = 0.01
    beta: Share = 0.01

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
    """

    limits: Limits = field(default_factory=Limits)
    blocks: int = 0
    disagreeing: int = 0
    only_candidate: int = 0
    only_champion: int = 0

    def log_e(self) -> dict[str, float]:
        """Logarithms of the e-values of the gates that stop a candidate, by gate."""
        agreeing = self.blocks - self.disagreeing
        return {
            "disagreement": log_above(self.disagreeing, agreeing, self.limits.disagreement),
            "direction": log_unequal(self.only_candidate, self.only_champion),
        }

    @property
    def verdict(self) -> Verdict:
        """Whether the candidate is shown to be worse, or no worse; `open` if neither is shown."""
        if self.tripped:
            return "worse"
        agreeing = self.blocks - self.disagreeing
        shown = log_below(self.disagreeing, agreeing, self.limits.disagreement)
        return "no worse" if shown >= log(1 / self.limits.beta) else "open"

    @property
    def tripped(self) -> list[str]:
        """Gates that show the candidate to be worse."""
        wanted = log(len(GATES) / self.limits.alpha)
        return [gate for gate, value in self.log_e().items() if value >= wanted]

    @property
    def said(self) -> str:
        """The evidence in words, such as "41 of 169 blocks, 0 disagree, limit 3%"."""
        needed = self.limits.blocks_needed(self.disagreeing)
        of = f" of {needed}" if needed is not None and needed >= self.blocks else ""
        return (
            f"{self.blocks}{of} blocks, {self.disagreeing} disagree, "
            f"limit {self.limits.disagreement:.3g}"
        )
