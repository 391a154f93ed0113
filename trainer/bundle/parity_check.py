"""Export of a fitted model, with its parity check and its budget."""

from dataclasses import dataclass

from models.bundle.golden import Golden
from models.bundle.manifest import GoldenSpec
from trainer.bundle.budget import within_budget
from trainer.bundle.golden import edges, golden_vectors, made_up, spread
from trainer.bundle.made_up import Profile
from trainer.bundle.package import tolerance_of
from trainer.console import Console
from trainer.dataset.splits import Parts
from trainer.dataset.targets import Truth
from trainer.errors import ParityError
from trainer.estimators.fitting import Model
from trainer.graph.export import Graph, Latency, Parity, check_parity, export
from trainer.recipe.document import Recipe


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A model whose graph has passed the parity check and keeps the budget.

    Attributes:
        model: the fitted model.
        content: the graph, as a serialised ONNX model.
        golden: the golden vectors, which the graph answers within the tolerance.
        parity: the parity of the graph with the model on all held-out windows.
        latency: time for one window on one thread, as measured on this machine.
        memory_bytes: peak of the memory for serving it, see `trainer.bundle.budget.ServingCost`.
    """

    model: Model
    content: bytes
    golden: Golden
    parity: Parity
    latency: Latency
    memory_bytes: int


def export_checked(
    model: Model, parts: Parts, truth: Truth, marks: tuple[Recipe, int], console: Console
) -> CheckedModel:
    """Export a model, compare the graph with it, and measure what serving costs.

    Args:
        model: the fitted model.
        parts: windows of both parts; the parity check runs on those of the test part.
        truth: target values of the recording's rows.
        marks: the recipe, and the seq that the graph will name.
        console: shows the progress.

    Raises:
        ParityError: the graph differs from the model, exceeds the budget, or cannot be exported.
    """
    recipe, seq = marks
    windows = parts.test.values
    with console.stage("exporting"):
        content = export(model, windows.shape[1:], recipe.bundle.stream, seq)
        graph = Graph(content)
    with console.stage("parity check"):
        tolerance = tolerance_of(model, truth.y[parts.train.rows])
        parity = check_parity(graph, model, windows, tolerance)
        golden = _golden(model, parts, recipe, tolerance)
        check_parity(graph, model, golden.windows, tolerance)
        cost = within_budget(graph, content, windows, recipe.budget, ParityError)
    return CheckedModel(model, content, golden, parity, cost.latency, cost.memory_bytes)


def _golden(model: Model, parts: Parts, recipe: Recipe, tolerance: GoldenSpec) -> Golden:
    """Golden vectors of the training part's profile, or of held-out windows if the recipe says."""
    if recipe.bundle.golden == "real":
        windows = parts.test.values
        return golden_vectors(model, spread(windows), edges(windows, recipe.channels), tolerance)
    profile = Profile.of(parts.train.values)
    return golden_vectors(model, made_up(profile), profile.reaching(recipe.channels), tolerance)
