"""A trained model with everything that is known about it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.bundle.explain import Explain
from models.bundle.manifest import WindowSpec
from models.bundle.optimised import Optimised
from trainer.checks.finding import Finding
from trainer.dataset.subject import Subject
from trainer.estimators.fitting import Answers, Model
from trainer.evaluation.champion import Comparison
from trainer.graph.export import Latency, Parity
from trainer.search.leaderboard import Leaderboard


@dataclass(frozen=True)
class Trained(Subject):
    """Everything that a bundle is made from, after the parity check.

    Attributes:
        seq: sequence number of the bundle in its stream.
        spec: the recipe's window, with the sample period that was measured.
        model: the model, fitted on the training part.
        notes: sentences on what was cleaned or left out, and on how the model was chosen.
        findings: results of the checks before the training.
        parity: how far graph and estimator differ on all held-out windows.
        latency: time for one window on one thread, as measured here.
        memory_bytes: peak of the memory for serving the bundle, as measured here.
        leaderboard: the leaderboard of the search; None without a search.
        comparison: the comparison with the champion; None if there is none.
        explain: how answers are explained; None where they are not.
        optimised: how a network was made smaller; None where it was not.
        normal: the window that explanations compare with, `[length, channels]`; None as before.
        doubts: sentences on answers of the model that make it useless; nearly always empty.
    """

    seq: int
    spec: WindowSpec
    model: Model
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    parity: Parity
    latency: Latency
    memory_bytes: int
    leaderboard: Leaderboard | None
    comparison: Comparison | None
    explain: Explain | None = None
    optimised: Optimised | None = None
    normal: NDArray[np.float32] | None = None
    doubts: tuple[str, ...] = ()

    @cached_property
    def answers(self) -> Answers:
        """The model's answers to the test windows, by output, `[n]` or `[n, classes]`."""
        return self.model.answer(self.parts.test.values)
