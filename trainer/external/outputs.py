"""What a foreign graph's own outputs are, seen by running it, and whether they are as declared."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import IncompatibleBundleError
from trainer.errors import GraphError
from trainer.estimators.fitting import Answers
from trainer.external.adaptation import Seen
from trainer.external.declaration import TWO, Declaration, Tensor
from trainer.external.graph import ExternalGraph
from trainer.graph.export import Graph

MIXED: Final = 7
"""Windows in a batch that is neither one nor a power of two."""
_REMEDIES: Final = {
    "IR version": "save it with an older one, such as model.ir_version = 10",
    "is till opset": "export it with an older opset, best 13 to 21",
    "No Op registered": "export it with operators that onnxruntime has",
}
_MAX_TOLD: Final = 5


def runnable(content: bytes) -> Graph:
    """The graph, ready to run.

    Raises:
        GraphError: onnxruntime refuses it; with a remedy where one is known.
    """
    try:
        return Graph(content)
    except IncompatibleBundleError as exc:
        remedy = next((text for part, text in _REMEDIES.items() if part in str(exc)), None)
        raise GraphError(f"{exc}".strip() + (f"; {remedy}" if remedy else "")) from exc


def answers_of(graph: Graph, windows: NDArray[np.float32]) -> Answers:
    """Run it.

    Raises:
        GraphError: it fails, alone or on more than one window at a time.
    """
    try:
        return graph.run(windows)
    except IncompatibleBundleError as exc:
        if len(windows) > 1 and _runs_alone(graph, windows):
            raise GraphError(
                f"the graph answers one window, but not {len(windows)} at a time, as gateways ask: "
                "it was exported for a fixed batch. Export it with a dynamic batch axis (PyTorch: "
                f"dynamic_axes or dynamic_shapes, and no batch size in a reshape). {exc}"
            ) from exc
        raise GraphError(str(exc)) from exc


def inspect_outputs(
    content: bytes, external: ExternalGraph, wanted: Declaration, windows: NDArray[np.float32]
) -> Seen:
    """Run the graph that `adaptation.for_inspection` gives, and check what comes.

    Raises:
        GraphError: it cannot be run, or an output has not the shape, the type or the labels of
            what it is declared as.
    """
    answers = answers_of(runnable(content), windows)
    seen: dict[str, NDArray[Any]] = {}
    for one in wanted.outputs:
        shape = answers[f"{one.name} shape"]
        seen[one.name] = answers[f"{one.name} flat"].reshape(shape)
        _check_shape(one, seen[one.name], len(windows), len(wanted.classes))
        _check_type(one, seen[one.name], wanted)
        _check_columns(one, external.labels.get(one.source, ()), wanted)
    return seen


def _runs_alone(graph: Graph, windows: NDArray[np.float32]) -> bool:
    try:
        graph.run(windows[:1])
    except IncompatibleBundleError:
        return False
    return True


def _check_shape(one: Tensor, seen: NDArray[Any], count: int, classes: int) -> None:
    said = f"output '{one.source}' is {list(seen.shape)} for {count} windows"
    if seen.shape[:1] != (count,):
        raise GraphError(
            f"{said}: it does not keep the batch axis. Export it with a dynamic batch axis, and "
            "without a sum or a squeeze over the first one"
        )
    each = seen.size // count
    if one.name != "probabilities":
        if each != 1:
            meant = "; declare it as probabilities, if it has one a class" if classes else ""
            raise GraphError(f"{said}: {each} numbers each, a {one.name} is one{meant}")
    elif each == 1:
        raise GraphError(f"{said}: one number each; declare it as a score with a threshold")
    elif seen.shape != (count, classes):
        raise GraphError(f"{said}, but there are {classes} classes: [batch, {classes}] is needed")


def _check_type(one: Tensor, seen: NDArray[Any], wanted: Declaration) -> None:
    is_class = one.name == "value" and wanted.task != "regression"
    is_text = seen.dtype.kind in "OUS"
    if not is_class:
        if is_text:
            raise GraphError(f"output '{one.source}' is text; a {one.name} is a number")
        return
    if not is_text:
        present = seen[np.isfinite(seen)].astype(np.float64)
        broken = present[present != np.round(present)]
        if len(broken):
            raise GraphError(
                f"output '{one.source}' gives {broken[0]:g}, a class is a whole number; declare it "
                "as a score with a threshold"
            )
    known = set(wanted.labels)
    if not (is_text or wanted.has_own_labels):
        known = {str(index) for index in range(len(wanted.classes))}
    found = {str(label) if is_text else f"{label:.0f}" for label in seen.ravel().tolist()}
    if unknown := sorted(found - known - {"nan"}):
        raise GraphError(
            f"output '{one.source}' gives the label {', '.join(unknown[:_MAX_TOLD])}, known are "
            f"{', '.join(sorted(known)[:_MAX_TOLD])}; give its classes as "
            '{ label = "name" }, in the order of the probabilities'
        )


def _check_columns(one: Tensor, columns: tuple[str, ...], wanted: Declaration) -> None:
    """Hold the labels of a ZipMap against the classes: another order would swap the answers."""
    if one.name != "probabilities" or not columns:
        return
    labels = tuple(wanted.labels)
    numbered = tuple(map(str, range(len(columns))))
    if columns != labels and (wanted.has_own_labels or columns != numbered):
        raise GraphError(
            f"output '{one.source}' has columns for {', '.join(columns[:_MAX_TOLD])}, classes are "
            f"{', '.join(labels[:_MAX_TOLD])}; give them as "
            '{ label = "name" }, in the order of the columns'
        )


def classes_follow(answers: Answers, wanted: Declaration) -> NDArray[np.bool_]:
    """Where the value is what score or probabilities say, `[n]`."""
    value = answers["value"]
    if wanted.threshold is not None:
        return np.asarray(value == (answers["score"] > np.float32(wanted.threshold)))
    if "probabilities" in answers:
        return np.asarray(value == answers["probabilities"].argmax(axis=1))
    return np.ones(len(value), dtype=np.bool_)


def margin(answers: Answers, wanted: Declaration) -> NDArray[np.float64]:
    """How far each answer is from another class, in units of the score; inf if that is not seen."""
    if wanted.threshold is not None:
        return np.abs(answers["score"].astype(np.float64) - np.float32(wanted.threshold))
    if "probabilities" in answers:
        ordered = np.sort(answers["probabilities"].astype(np.float64), axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -TWO])
    return np.full(len(answers["value"]), np.inf)
