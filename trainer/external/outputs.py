"""The own outputs of an external graph, found by running it, and compared with its description."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import BundleError, IncompatibleBundleError
from serving.proof.refusals import ProofError
from trainer.bundle.budget import try_graph
from trainer.errors import GraphError
from trainer.estimators.fitting import Answers
from trainer.external.adaptation import VERDICT, Seen
from trainer.external.declaration import TWO, Declaration, Tensor
from trainer.external.graph import ExternalGraph
from trainer.graph.export import Graph

# Size of a batch that is neither one nor a power of two, which a fixed size could hide behind.
MIXED: Final = 7
# Remedies by a part of onnxruntime's message.
_REMEDIES: Final = {
    "IR version": "save it with an older one, such as model.ir_version = 10",
    "is till opset": "export it with an older opset, best 13 to 21",
    "No Op registered": "export it with operators that onnxruntime has",
}
_MAX_NAMED: Final = 5


def runnable(content: bytes) -> Graph:
    """Load a graph.

    Raises:
        GraphError: onnxruntime refuses the graph; the message has a remedy where one is known.
    """
    try:
        return Graph(content)
    except IncompatibleBundleError as exc:
        remedy = next((text for part, text in _REMEDIES.items() if part in str(exc)), None)
        raise GraphError(f"{exc}".strip() + (f"; {remedy}" if remedy else "")) from exc


def answers_of(graph: Graph, windows: NDArray[np.float32]) -> Answers:
    """Run the graph on windows `[n, length, channels]`.

    Raises:
        GraphError: the graph fails, on any window or only on several at a time.
    """
    try:
        return graph.run(windows)
    except IncompatibleBundleError as exc:
        if len(windows) > 1 and _runs_alone(graph, windows):
            raise GraphError(
                f"the graph answers one window, but not {len(windows)} at a time as gateways need: "
                "it was exported for a fixed batch. Export it with a dynamic batch axis (PyTorch: "
                f"dynamic_axes or dynamic_shapes, and no batch size in a reshape). {exc}"
            ) from exc
        raise GraphError(str(exc)) from exc


def inspect_outputs(
    content: bytes, external: ExternalGraph, wanted: Declaration, windows: NDArray[np.float32]
) -> Seen:
    """Run the graph of `adaptation.for_inspection`, and compare its tensors with the description.

    Args:
        content: the graph, as a serialised ONNX model.
        external: the external graph, for the labels of a ZipMap.
        wanted: the description of the graph.
        windows: float32 `[n, length, channels]` to run it on.

    Returns:
        The declared tensors, by the name of the output.

    Raises:
        GraphError: the graph cannot be run, or the shape, type or labels of a tensor are not those
            of its description.
    """
    _check_harmless(content, windows)
    answers = answers_of(runnable(content), windows)
    seen: dict[str, NDArray[Any]] = {}
    for one in wanted.outputs:
        shape = answers[f"{one.name} shape"]
        seen[one.name] = answers[f"{one.name} flat"].reshape(shape)
        _check_shape(one, seen[one.name], len(windows), len(wanted.classes))
        _check_type(one, seen[one.name], wanted)
        _check_columns(one, external.labels.get(one.source, ()), wanted)
    if VERDICT in answers:
        _check_direction(seen["score"].ravel(), answers[VERDICT], wanted)
    return seen


def _check_harmless(content: bytes, windows: NDArray[np.float32]) -> None:
    """Run the graph in a child process before it may crash this one; any other fault is not ours.

    Raises:
        GraphError: the graph crashes onnxruntime, or takes too much time or memory.
    """
    try:
        try_graph(content, windows)
    except ProofError as exc:
        raise GraphError(str(exc)) from exc
    except BundleError:  # it is explained by whoever runs the graph next, with the remedy
        return


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
            "without a sum or a squeeze over the first axis"
        )
    each = seen.size // count
    if one.name != "probabilities":
        if each != 1:
            meant = "; declare it as probabilities, if it has one for each class" if classes else ""
            raise GraphError(f"{said}: {each} numbers each, a {one.name} is one number{meant}")
    elif each == 1:
        raise GraphError(f"{said}: one number each; declare it as a score with a threshold")
    elif seen.shape != (count, classes):
        raise GraphError(f"{said}, but there are {classes} classes: [batch, {classes}] is needed")


def _check_type(one: Tensor, seen: NDArray[Any], wanted: Declaration) -> None:
    is_class = one.name == "value" and wanted.task != "regression"
    is_text = seen.dtype.kind in "OUS"
    if not is_class:
        if is_text:
            raise GraphError(f"output '{one.source}' is text, but a {one.name} must be a number")
        return
    if not is_text:
        present = seen[np.isfinite(seen)].astype(np.float64)
        broken = present[present != np.round(present)]
        if len(broken):
            raise GraphError(
                f"output '{one.source}' gives {broken[0]:g}, but a class is a whole number; "
                "declare it as a score with a threshold"
            )
    known = set(wanted.labels)
    if not (is_text or wanted.has_own_labels):
        known = {str(index) for index in range(len(wanted.classes))}
    found = {str(label) if is_text else f"{label:.0f}" for label in seen.ravel().tolist()}
    if unknown := sorted(found - known - {"nan"}):
        raise GraphError(
            f"output '{one.source}' gives the label {', '.join(unknown[:_MAX_NAMED])}, known are "
            f"{', '.join(sorted(known)[:_MAX_NAMED])}; give its classes as "
            '{ label = "name" }, in the order of the probabilities'
        )


def _check_columns(one: Tensor, columns: tuple[str, ...], wanted: Declaration) -> None:
    """Compare the labels of the columns with the classes; another order would swap the classes."""
    if one.name != "probabilities" or not columns:
        return
    labels = tuple(wanted.labels)
    numbered = tuple(map(str, range(len(columns))))
    if columns != labels and (wanted.has_own_labels or columns != numbered):
        raise GraphError(
            f"output '{one.source}' has columns for {', '.join(columns[:_MAX_NAMED])}, classes are "
            f"{', '.join(labels[:_MAX_NAMED])}; give them as "
            '{ label = "name" }, in the order of the columns'
        )


def _check_direction(score: NDArray[Any], verdict: NDArray[Any], wanted: Declaration) -> None:
    """Compare a detector's score with its own answer, -1 where abnormal as in scikit-learn."""
    declared = wanted.tensor("score")
    known = verdict.shape == score.shape and {-1} <= {*verdict.tolist()} <= {-1, 1}
    if declared is None or declared.threshold is None or not known:
        return
    outside = score < declared.threshold if declared.is_turned else score > declared.threshold
    if np.mean(outside == (verdict == -1)) < np.mean(outside == (verdict == 1)):
        other = "above" if declared.is_turned else "below"
        raise GraphError(
            f"output '{declared.source}' is declared to be abnormal {declared.direction} "
            f"{declared.threshold:g}, but the graph's own answer says normal (1) there and "
            f"abnormal (-1) on the other side; write direction = '{other}'"
        )


def classes_follow(answers: Answers, wanted: Declaration) -> NDArray[np.bool_]:
    """Whether the value is the class that score or probabilities give, `[n]`; True without them."""
    value = answers["value"]
    if wanted.threshold is not None:
        return np.asarray(value == (answers["score"] > np.float32(wanted.threshold)))
    if "probabilities" in answers:
        return np.asarray(value == answers["probabilities"].argmax(axis=1))
    return np.ones(len(value), dtype=np.bool_)


def margin(answers: Answers, wanted: Declaration) -> NDArray[np.float64]:
    """The change of the score that would change each class, `[n]`; inf without a score."""
    if wanted.threshold is not None:
        return np.abs(answers["score"].astype(np.float64) - np.float32(wanted.threshold))
    if "probabilities" in answers:
        ordered = np.sort(answers["probabilities"].astype(np.float64), axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -TWO])
    return np.full(len(answers["value"]), np.inf)
