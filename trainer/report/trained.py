"""What was trained, and all that is known of it."""

from dataclasses import dataclass

from models.bundle.manifest import WindowSpec
from trainer.checks.finding import Finding
from trainer.dataset.splits import Parts
from trainer.dataset.subject import Subject
from trainer.dataset.targets import Truth
from trainer.estimators.fitting import Model
from trainer.evaluation.champion import Comparison
from trainer.graph.export import Latency, Parity
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe
from trainer.search.leaderboard import Leaderboard


@dataclass(frozen=True, slots=True)
class Trained:
    """Everything that a bundle is made from, once the model has proved itself.

    Attributes:
        subject: rows, truth, recipe and both parts.
        seq: of the bundle.
        spec: the recipe's window, with the period that was measured.
        model: fitted on the training part.
        notes: what was cleaned or left out, and how the model was chosen.
        findings: of the checks before the training.
        parity: of the graph with the estimator, on all held-out windows.
        latency: of one window on one thread, as measured here.
        leaderboard: of the search, where there was one.
        comparison: with the champion, where there is one that can be compared.
    """

    subject: Subject
    seq: int
    spec: WindowSpec
    model: Model
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    parity: Parity
    latency: Latency
    leaderboard: Leaderboard | None
    comparison: Comparison | None

    @property
    def recipe(self) -> Recipe:
        """What was to be done."""
        return self.subject.recipe

    @property
    def recording(self) -> Recording:
        """All rows."""
        return self.subject.recording

    @property
    def truth(self) -> Truth:
        """Of every row."""
        return self.subject.truth

    @property
    def parts(self) -> Parts:
        """The windows that trained, and those that test."""
        return self.subject.parts
