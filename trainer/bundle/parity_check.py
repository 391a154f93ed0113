"""A fitted model as a graph that has proved itself: the same answers, within the budget."""

from dataclasses import dataclass

from models.bundle.golden import Golden
from trainer.bundle.budget import within_budget
from trainer.bundle.golden import vectors
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
    """A model that may be packed.

    Attributes:
        content: the graph.
        golden: vectors it answers rightly.
        parity: with the estimator, on all held-out windows.
        latency: of one window on one thread, as measured here.
    """

    model: Model
    content: bytes
    golden: Golden
    parity: Parity
    latency: Latency


def export_checked(
    model: Model, parts: Parts, truth: Truth, marks: tuple[Recipe, int], console: Console
) -> CheckedModel:
    """Export a model and prove it.

    Args:
        model: fitted.
        parts: windows; the test part's are what it is proved on.
        truth: of the recording's rows.
        marks: the recipe, and the seq that the graph will name.
        console: where progress goes.

    Raises:
        ParityError: the graph is not the model, costs more than the budget, or cannot be written.
    """
    recipe, seq = marks
    windows = parts.test.values
    with console.stage("exporting"):
        content = export(model, windows.shape[1:], recipe.bundle.stream, seq)
        graph = Graph(content)
    with console.stage("proving"):
        tolerance = tolerance_of(model, truth.y[parts.train.rows])
        parity = check_parity(graph, model, windows, tolerance)
        golden = vectors(model, windows, recipe.channels, tolerance)
        check_parity(graph, model, golden.windows, tolerance)
        latency = within_budget(graph, content, windows, recipe.budget, ParityError)
    return CheckedModel(model, content, golden, parity, latency)
