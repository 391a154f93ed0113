"""How the answers of an external graph will be explained, by its recorded windows."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.bundle.explained import (
    Answering,
    Explained,
    Head,
    Window,
    explanation,
    thinned,
    unexplained,
)
from trainer.estimators.fitting import Answers
from trainer.external.declaration import Declaration
from trainer.external.outputs import answers_of, margin
from trainer.external.trial import TrialResult, size_of
from trainer.graph.export import Graph

NO_ROWS: Final = (
    "explain: answers will not be explained, because contributions need a normal window to compare "
    "with, which is made up from recorded rows; give --samples or [data], or explain = 'never'"
)


def explained(
    graph: Graph, wanted: Declaration, recorded: Window | None, result: TrialResult
) -> Explained | None:
    """How answers are explained; None if the description wants none, or has nothing to go by.

    Windows count as normal for which the graph answers the class 0 of two, the most frequent one of
    several, or any number.

    Args:
        graph: the adapted graph.
        wanted: the description of the graph.
        recorded: recorded windows, `[n, length, channels]`; None without any.
        result: result of the trial, whose golden vectors get one more window.
    """
    if wanted.explain == "never" or recorded is None:
        return None

    def answer(windows: Window) -> Answers:
        return answers_of(graph, windows)

    def decided(answers: Answers) -> NDArray[np.bool_]:
        tolerance = result.tolerance
        return np.asarray(
            margin(answers, wanted) > 2 * (tolerance.atol + tolerance.rtol * size_of(answers))
        )

    shown = thinned(recorded, np.arange(len(recorded)))
    values = answer(shown)["value"]
    head = _head(wanted, graph, values)
    is_normal = np.ones(len(shown), np.bool_)
    if wanted.task != "regression" and (values == head.normal).any():
        is_normal = values == head.normal
    given = (result.golden, Answering(answer, decided))
    return explanation(wanted.explain, head, shown[is_normal], wanted.channels, given)


def missing(
    wanted: Declaration, recorded: Window | None, found: Explained | None
) -> tuple[str, ...]:
    """A note where answers were to be explained and are not; nothing else."""
    if recorded is None and wanted.explain != "never":
        return (NO_ROWS,)
    return unexplained(wanted.explain, found)


def changes_of(result: TrialResult, found: Explained | None) -> dict[str, object]:
    """The keys of the manifest that are others where answers are explained."""
    if found is None:
        return {}
    count = len(found.golden.windows)
    return {
        "schema_version": 2,  # that which knows `explain`
        "explain": found.section,
        "golden": result.tolerance.model_copy(update={"count": count}),
    }


def _head(wanted: Declaration, graph: Graph, values: NDArray[np.int64]) -> Head:
    if wanted.task == "regression":
        return Head("value")
    if wanted.task == "anomaly" or wanted.threshold is not None:
        return Head("score" if "score" in graph.outputs else "value", (1,))
    normal = int(np.bincount(values.astype(np.int64)).argmax())
    others = tuple(index for index in range(len(wanted.classes)) if index != normal)
    return Head("probabilities" if "probabilities" in graph.outputs else "value", others, normal)
