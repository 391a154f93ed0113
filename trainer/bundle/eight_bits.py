"""Whether a network is served in eight bits: by its size, its answers and its held-out figure.

The test part decides between the two graphs. It can only refuse the smaller one, so the figure
after is hardly flattered by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier

from models.bundle.golden import MIN_COUNT
from models.bundle.manifest import GoldenSpec
from models.bundle.optimised import Optimised
from trainer.dataset.splits import Parts
from trainer.dataset.targets import Truth
from trainer.errors import ParityError
from trainer.estimators.fitting import Answers, Model
from trainer.estimators.network import Network
from trainer.evaluation.metrics import log_loss, measure
from trainer.graph.export import Graph, Parity, check_parity
from trainer.graph.int8 import layer_bytes, quantised
from trainer.recipe.document import Recipe
from trainer.recipe.search_section import DEFAULT_METRIC, SHARES

LEAST_BYTES = 1_000_000
"""Bytes of weights from which on eight bits are tried: smaller ones stay in a processor's cache."""
_MOST_WINDOWS = 500


@dataclass(frozen=True, slots=True)
class EightBits(Model):
    """A model that answers by a graph in eight bits, for metrics, report and golden vectors.

    Attributes:
        graph: the graph.
        tolerance: how near other machines must come to its answers.
    """

    graph: Graph | None = None
    tolerance: GoldenSpec | None = None

    def answer(self, windows: NDArray[np.float32]) -> Answers:
        """The answers of the graph to windows `[n, length, channels]`."""
        if self.graph is None:
            raise AssertionError("a model in eight bits has a graph")
        return self.graph.run(windows)


@dataclass(frozen=True, slots=True)
class Smaller:
    """A graph in eight bits that may take the place of the one in full precision.

    Attributes:
        model: the model that answers by it.
        content: the graph, as a serialised ONNX model.
        graph: the graph, loaded.
        parity: how near it is to the network in full precision.
        optimised: figures before and after.
    """

    model: EightBits
    content: bytes
    graph: Graph
    parity: Parity
    optimised: Optimised


def in_eight_bits(
    model: Model, content: bytes, parts: Parts, truth: Truth, recipe: Recipe
) -> tuple[Smaller | None, str]:
    """The graph in eight bits if it is good enough, and a sentence that says why or why not.

    Args:
        model: the fitted model.
        content: its graph in full precision.
        parts: windows of both parts.
        truth: target values of the recording's rows.
        recipe: the recipe, with its section `[optimise]`.
    """
    last = model.pipeline.steps[-1][1]
    if not isinstance(last, Network | MLPClassifier):
        return None, f"optimise: no eight bits: the model is a {type(last).__name__}, no network"
    size = layer_bytes(content)
    if size < LEAST_BYTES:
        return None, (
            f"optimise: no eight bits: the large layers of the network have {size} bytes; below "
            f"{LEAST_BYTES} they are no faster"
        )
    try:
        found = _smaller(model, content, parts, truth, recipe)
    except ParityError as exc:
        return None, f"optimise: no eight bits: {exc}"
    one = found.optimised
    if not _good_enough(one, recipe):
        return None, (
            f"optimise: no eight bits: {one.metric} would be {one.after:.4g} instead of "
            f"{one.before:.4g} on the test part; optimise.worse allows {recipe.optimise.worse:g}"
        )
    return found, f"optimise: eight bits: {one}"


def _smaller(model: Model, content: bytes, parts: Parts, truth: Truth, recipe: Recipe) -> Smaller:
    step = max(1, len(parts.train) // _MOST_WINDOWS)
    shown = parts.train.values[::step][:_MOST_WINDOWS]

    def measured(telling: bytes, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        answers = Graph(telling).run(shown)
        return {name: answers[name] for name in names}

    small = quantised(content, measured)
    graph, windows = Graph(small), parts.test.values
    spread = 1.0 if model.classes else float(np.std(truth.y[parts.train.rows]))
    allowed = float(f"{recipe.optimise.tolerance * spread:.3g}")
    tolerance = GoldenSpec(count=MIN_COUNT, atol=allowed, rtol=0.0)
    parity = check_parity(graph, model, windows, tolerance)
    y, metric = truth.y[parts.test.rows], _metric(recipe)
    optimised = Optimised(
        metric=metric,
        before=_figure(model, model.answer(windows), y, metric),
        after=_figure(model, graph.run(windows), y, metric),
        bytes_before=len(content),
        bytes_after=len(small),
        worst=max(error for name, error in parity.worst.items() if not _is_index(model, name)),
    )
    served = EightBits(
        model.task,
        model.pipeline,
        model.outputs,
        model.positive,
        model.decision,
        graph,
        tolerance,
    )
    return Smaller(served, small, graph, parity, optimised)


def _metric(recipe: Recipe) -> str:
    task = recipe.target.task
    return recipe.search.metric_for(task) if recipe.search else DEFAULT_METRIC[task]


def _figure(model: Model, answers: Answers, y: NDArray[Any], metric: str) -> float:
    if metric == "log_loss":
        return float(log_loss(answers["probabilities"], y)(np.ones((1, len(y))))["log_loss"][0])
    return measure(model, answers, y)[metric]


def _good_enough(one: Optimised, recipe: Recipe) -> bool:
    allowed = recipe.optimise.worse
    if one.metric in SHARES:
        return one.before - one.after <= allowed
    return one.after <= one.before * (1 + allowed)


def _is_index(model: Model, name: str) -> bool:
    return name == "value" and bool(model.classes)
