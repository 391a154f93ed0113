"""Export of a fitted model, with its parity check and its budget."""

from dataclasses import dataclass

import numpy as np

from models.bundle.golden import Golden
from models.bundle.manifest import GoldenSpec
from models.bundle.optimised import Optimised
from trainer.bundle.budget import within_budget
from trainer.bundle.eight_bits import in_eight_bits
from trainer.bundle.explained import Answering, Explained, Head, explanation, thinned
from trainer.bundle.golden import edges, golden_vectors, made_up, spread
from trainer.bundle.made_up import Profile
from trainer.bundle.package import tolerance_of
from trainer.console import Console
from trainer.dataset.splits import Parts
from trainer.dataset.targets import Truth
from trainer.errors import ParityError
from trainer.estimators.fitting import Model
from trainer.graph.export import Graph, Latency, Parity, check_parity, export, is_decided
from trainer.recipe.document import Recipe


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A model whose graph has passed the parity check and keeps the budget.

    Attributes:
        model: the fitted model.
        content: the graph, as a serialised ONNX model.
        golden: the golden vectors, which the graph answers within the tolerance.
        explained: how answers are explained; None where they are not.
        parity: the parity of the graph with the model on all held-out windows.
        latency: time for one window on one thread, as measured on this machine.
        optimised: how the graph was made smaller; None where it was not.
        notes: a sentence on that, if the recipe asks for it.
        memory_bytes: peak of the memory for serving it, see `trainer.bundle.budget.ServingCost`.
    """

    model: Model
    content: bytes
    golden: Golden
    explained: Explained | None
    parity: Parity
    latency: Latency
    memory_bytes: int
    optimised: Optimised | None = None
    notes: tuple[str, ...] = ()


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
        optimised: Optimised | None = None
        notes: tuple[str, ...] = ()
        if recipe.optimise.int8:
            smaller, said = in_eight_bits(model, content, parts, truth, recipe)
            notes = (said,)
            if smaller is not None:
                model, content, graph = smaller.model, smaller.content, smaller.graph
                parity, optimised = smaller.parity, smaller.optimised
                tolerance = tolerance_of(model, truth.y[parts.train.rows])
        golden = _golden(model, parts, recipe, tolerance)
        explained = _explained(model, parts, truth, recipe, (golden, tolerance))
        if explained is not None:
            golden = explained.golden
        check_parity(graph, model, golden.windows, tolerance)
        cost = within_budget(graph, content, windows, recipe.budget, ParityError)
    return CheckedModel(
        model,
        content,
        golden,
        explained,
        parity,
        cost.latency,
        cost.memory_bytes,
        optimised,
        notes,
    )


def _explained(
    model: Model, parts: Parts, truth: Truth, recipe: Recipe, given: tuple[Golden, GoldenSpec]
) -> Explained | None:
    """How answers are explained; None where the recipe wants none, or no reference is certain."""
    if recipe.explain == "never":
        return None
    golden, tolerance = given
    train, y = parts.train, truth.y[parts.train.rows]
    head, is_normal = Head("value"), np.ones(len(y), np.bool_)
    if model.task == "anomaly":
        head, is_normal = Head("score", (1,)), y == 0
    elif model.task == "classification" and model.threshold is not None:
        head, is_normal = Head("score", (model.positive,)), y != model.positive
    elif model.task == "classification":
        normal = int(np.bincount(y.astype(np.int64)).argmax())
        others = tuple(index for index in range(len(model.classes)) if index != normal)
        head, is_normal = Head("probabilities", others, normal), y == normal
    answering = Answering(model.answer, lambda answers: is_decided(model, answers, tolerance))
    windows = thinned(train.values, np.flatnonzero(is_normal))
    return explanation(recipe.explain, head, windows, recipe.channels, (golden, answering))


def _golden(model: Model, parts: Parts, recipe: Recipe, tolerance: GoldenSpec) -> Golden:
    """Golden vectors of the training part's profile, or of held-out windows if the recipe says."""
    if recipe.bundle.golden == "real":
        windows = parts.test.values
        return golden_vectors(model, spread(windows), edges(windows, recipe.channels), tolerance)
    profile = Profile.of(parts.train.values)
    return golden_vectors(model, made_up(profile), profile.reaching(recipe.channels), tolerance)
