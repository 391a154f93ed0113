"""What was trained, and all that is known of it."""

from dataclasses import dataclass

from models.manifest import WindowSpec
from trainer.checks.finding import Finding
from trainer.estimators.estimators import Model
from trainer.evaluation.champion import Comparison
from trainer.graph.export import Latency, Parity
from trainer.recipe.recipe import Recipe
from trainer.recordings.recording import Recording
from trainer.recordings.split import Parts
from trainer.recordings.targets import Truth
from trainer.search.board import Board


@dataclass(frozen=True, slots=True)
class Trained:
    """Everything that a bundle is made from, once the model has proved itself.

    Attributes:
        comparison: with the stream's earlier bundle, where there is one that can be compared.
    """

    recipe: Recipe
    seq: int
    recording: Recording
    truth: Truth
    spec: WindowSpec
    parts: Parts
    model: Model
    remarks: tuple[str, ...]
    findings: tuple[Finding, ...]
    parity: Parity
    board: Board | None
    latency: Latency
    comparison: Comparison | None = None
