"""What is handed over to the file of kept predictions, and what it says then."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from models.control.rollout import GateEvidence
from models.input.label import Label
from serving.gates.e_values import log_above

_EVEN: Final = 0.5
"""Share of the labels for which the candidate's error may be the larger one."""


class Kept(NamedTuple):
    """A prediction that waits for its label.

    Attributes:
        role: `CHAMPION` or `CANDIDATE` of `agent.labels.tables`.
        seq: number of the bundle.
        asset: key of the asset.
        end_ms: event time of the window's last sample, milliseconds since 1970.
        id: identity of the prediction, 32 hexadecimal digits; empty for an answer that is published
            nowhere.
        value: the answer; of a class, its index.
    """

    role: int
    seq: int
    asset: str
    end_ms: int
    id: str
    value: float


@dataclass(slots=True)
class HandOver:
    """What is written in one transaction.

    Attributes:
        predictions: predictions in the order in which they were made.
        classes: names of the classes by number of the bundle; empty for a regression.
        labels: labels in the order in which they arrived.
        malformed: labels that could not be read.
        lost: predictions and labels that were not handed over for want of memory or of the disk.
    """

    predictions: list[Kept] = field(default_factory=list)
    classes: dict[int, tuple[str, ...]] = field(default_factory=dict)
    labels: list[Label] = field(default_factory=list)
    malformed: int = 0
    lost: int = 0


class Errors(NamedTuple):
    """What labels say of one bundle that serves.

    Attributes:
        episodes: labels that were compared.
        predictions: predictions in their spans.
        total: sum of the errors, one for each label.
    """

    episodes: int
    predictions: int
    total: float


class Pair(NamedTuple):
    """What labels say of two bundles that have answered the same windows.

    Attributes:
        larger: labels for which the candidate's error is the larger one.
        smaller: labels for which it is the smaller one.
        equal: labels for which both are equal, which say nothing.
        champion_error: sum of the champion's errors.
        candidate_error: sum of the candidate's errors.
    """

    larger: int
    smaller: int
    equal: int
    champion_error: float
    candidate_error: float

    @property
    def gate(self) -> GateEvidence:
        """The same as counters of a gate; each label is independent of the others.

        Only a candidate with the larger error trips it: to be better is no fault.
        """
        return GateEvidence.model_construct(
            kind="rate",
            hits=self.larger,
            misses=self.smaller,
            limit=_EVEN,
            log_e=round(log_above(self.larger, self.smaller, _EVEN), 6),
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """What is in the file.

    Attributes:
        kept: predictions that wait for their labels.
        waiting: labels whose span is not over yet.
        counted: labels by what became of them: `compared`, `repeated` or a reason of
            `models.input.label.UNMATCHED`; beside them `removed` predictions that made room, and
            what is `lost`.
        errors: by number of the bundle.
        pairs: by the numbers of champion and candidate.
        outcomes: what became of each label of the last transaction: `taken`, `repeated` or a reason
            to refuse it.
    """

    kept: int = 0
    waiting: int = 0
    counted: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[int, Errors] = field(default_factory=dict)
    pairs: Mapping[tuple[int, int], Pair] = field(default_factory=dict)
    outcomes: tuple[str, ...] = ()
