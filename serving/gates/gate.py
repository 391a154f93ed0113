"""One statistical gate: two counters, and the evidence in them."""

from dataclasses import dataclass
from typing import Literal

from serving.gates.e_values import log_above, log_unequal

Kind = Literal["rate", "sign"]


@dataclass(slots=True)
class Gate:
    """Counts blocks of time that speak against a candidate, and those that do not.

    Attributes:
        kind: `rate` where a hit may have at most the probability `limit`; `sign` where a hit and a
            miss are equally likely unless the models differ.
        limit: probability of a hit that is allowed; 0.5 for a sign.
        hits: blocks that speak against the candidate.
        misses: blocks that do not.
    """

    kind: Kind
    limit: float = 0.5
    hits: int = 0
    misses: int = 0

    @property
    def log_e(self) -> float:
        """Logarithm of the e-value against "the candidate is no worse"."""
        if self.kind == "sign":
            return log_unequal(self.hits, self.misses)
        return log_above(self.hits, self.misses, self.limit)
