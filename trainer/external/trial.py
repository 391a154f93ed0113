"""A foreign graph on trial: what it must do, whatever it was trained for.

It answers every window within the ranges with a number, the same however often and in whose
company it is asked, and either answers when a signal is missing or says that it cannot. Whether its
answers are right is not for this to know.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.bundle.golden import MIN_COUNT, Golden
from models.bundle.manifest import GoldenSpec
from trainer.bundle.golden import edge_windows, edges
from trainer.errors import GraphError
from trainer.estimators.fitting import Answers
from trainer.external.declaration import Declaration
from trainer.external.outputs import MIXED, answers_of, classes_follow, margin
from trainer.graph.export import Graph

Window = NDArray[np.float32]
MAX_PROBES: Final = 512
_MAX_PROBE_VALUES: Final = 4_000_000
_MAX_TOLD: Final = 8
_PROBABILITY_SLACK: Final = 1e-3
_SAME: Final = 1e-5


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What a graph has shown.

    Attributes:
        golden: windows with its own answers.
        tolerance: how near another machine must come to them.
        probes: windows within the ranges that it answered with numbers.
        notes: what a reader should know.
    """

    golden: Golden
    tolerance: GoldenSpec
    probes: int
    notes: tuple[str, ...]


def probe_count(length: int, width: int) -> int:
    """How many windows of this size the graph is tried on."""
    return max(MIN_COUNT, min(MAX_PROBES, _MAX_PROBE_VALUES // (length * width)))


def made_up(wanted: Declaration, usual: Window | None) -> Window:
    """Windows within the ranges: half at rest, each signal at one level, half jumping.

    Args:
        wanted: for signals and their ranges, and the length of the window.
        usual: for the edges of signals without a range; None where every signal has one.

    Returns:
        Float32 `[n, length, channels]`, the same every time, nothing missing.
    """
    length, width = wanted.window.length, len(wanted.signals)
    if usual is None:
        usual = np.zeros((1, length, width), np.float32)
    largest = float(np.finfo(np.float32).max)
    low, high = (
        np.clip(edge.astype(np.float64), -largest, largest)
        for edge in edges(usual, wanted.channels)
    )
    drawn = np.random.default_rng(0).random((probe_count(length, width), length, width))
    rest = len(drawn) // 2
    drawn[:rest] = drawn[:rest, :1]
    return np.clip(low * (1 - drawn) + high * drawn, low, high).astype(np.float32)


def check_answers(graph: Graph, wanted: Declaration, usual: Window, probes: Window) -> TrialResult:
    """Put the graph, with our input and outputs, to the test.

    Args:
        graph: that the bundle will have.
        wanted: what it is declared to be.
        usual: windows that the golden vectors show, `[n, length, channels]`.
        probes: windows within the ranges, without missing values.

    Raises:
        GraphError: what it did, on which window, and the remedy.
    """
    answers = answers_of(graph, probes)
    _check_sound(answers, probes, wanted)
    notes = [*_missing(graph, wanted, probes), *_oddities(answers, wanted)]
    windows = np.concatenate([usual[_spread(usual)], _odd(usual, wanted)])
    given = answers_of(graph, windows)
    _check_sound(given, windows, wanted)
    tolerance = _tolerance(answers)
    clear = margin(given, wanted) > 2 * (tolerance.atol + tolerance.rtol * _size(given))
    if not clear.any():
        raise GraphError(
            f"in all of {len(windows)} windows two classes are as good as equal: there is nothing "
            "that another machine could be held to; correct the threshold or the ranges"
        )
    golden = Golden(windows[clear], {name: array[clear] for name, array in given.items()})
    _check_company(graph, golden, tolerance)
    promised = tolerance.model_copy(update={"count": len(golden.windows)})
    return TrialResult(golden, promised, len(probes), tuple(notes))


def _spread(windows: Window) -> NDArray[np.int64]:
    return np.linspace(0, len(windows) - 1, MIN_COUNT).round().astype(np.int64)


def _odd(usual: Window, wanted: Declaration) -> Window:
    """Edges and missing values, but none that a gateway would not ask about."""
    odd = np.stack(list(edge_windows(usual, wanted.channels)))
    required = [signal.missing == "require" for signal in wanted.signals]
    return odd[~np.isnan(odd[:, :, required]).any(axis=(1, 2))]


def _size(answers: Answers) -> NDArray[np.float32] | np.float32:
    return np.abs(answers["score"]) if "score" in answers else np.float32(0)


def _tolerance(answers: Answers) -> GoldenSpec:
    """1e-4 of each answer and 1e-5 of their spread, as of models that are trained here."""
    spreads = [float(np.std(array.astype(np.float64))) for array in _floats(answers).values()]
    spread = min([one for one in spreads if one > 0], default=1.0)
    return GoldenSpec(count=MIN_COUNT, atol=float(f"{1e-5 * spread:.3g}"), rtol=1e-4)


def _floats(answers: Answers) -> Answers:
    return {name: array for name, array in answers.items() if array.dtype.kind == "f"}


def _check_sound(answers: Answers, windows: Window, wanted: Declaration) -> None:
    """Numbers, classes that there are, and probabilities that are some."""
    for name, array in _floats(answers).items():
        sound = np.isfinite(array).reshape(len(windows), -1).all(axis=1)
        if not sound.all():
            row = int(np.argmin(sound))
            raise GraphError(
                f"'{name}' is {array[row]} in {int((~sound).sum())} of {len(windows)} windows "
                f"within the ranges, first where the last sample is "
                f"{_shown(windows[row, -1], wanted)}; correct the ranges, or the graph"
            )
    if wanted.classes:
        _check_classes(answers, wanted)
    if "probabilities" in answers:
        _check_probabilities(answers["probabilities"])


def _check_classes(answers: Answers, wanted: Declaration) -> None:
    value = answers["value"]
    strange = value[(value < 0) | (value >= len(wanted.classes))]
    if len(strange):
        raise GraphError(
            f"the graph gives a class that is not declared (index {strange[0]}), in {len(strange)} "
            f"of {len(value)} windows; classes are {', '.join(wanted.classes[:_MAX_TOLD])}"
        )
    # A graph that reckons in float64 may differ where the score is on the threshold.
    follows = classes_follow(answers, wanted) | (margin(answers, wanted) <= _SAME * _size(answers))
    if wanted.threshold is not None and not follows.all():
        row = int(np.argmin(follows))
        raise GraphError(
            f"the graph gives '{wanted.classes[value[row]]}' where its score is "
            f"{answers['score'][row]:g}, and the threshold is declared as {wanted.threshold:g}; "
            "correct it, or leave it out"
        )


def _check_probabilities(shares: NDArray[np.float32]) -> None:
    total = shares.astype(np.float64).sum(axis=1)
    off = (np.abs(total - 1) > _PROBABILITY_SLACK) | (shares.min(axis=1) < -_PROBABILITY_SLACK)
    if off.any():
        row = int(np.argmax(off))
        raise GraphError(
            f"the declared probabilities are none: those of a window are {shares[row]}, together "
            f"{total[row]:g}; if they are logits, say apply = 'softmax'"
        )


def _oddities(answers: Answers, wanted: Declaration) -> list[str]:
    said = []
    if all((array == array[:1]).all() for array in answers.values()):
        said.append(
            f"the answer is the same in all of {len(answers['value'])} windows within the ranges"
        )
    against = int((~classes_follow(answers, wanted)).sum())
    if against:
        said.append(
            f"the value is not the most probable class in {against} of {len(answers['value'])} "
            "windows: is the order of the classes right?"
        )
    return said


def _missing(graph: Graph, wanted: Declaration, probes: Window) -> list[str]:
    """Ask without each signal that may be missing."""
    optional = [i for i, signal in enumerate(wanted.signals) if signal.missing == "impute"]
    names = [wanted.signals[index].name for index in optional]
    if not optional:
        return []
    if not any(output.dtype == "float32" for output in wanted.promised()):
        raise GraphError(
            f"whether the graph can answer without {_listed(names)} cannot be seen from a class "
            "alone; declare its score or its probabilities too, or say missing = 'require' of them"
        )
    without = [name for i, name in zip(optional, names, strict=True) if _fails(graph, probes, [i])]
    if not without and _fails(graph, probes, optional):
        without = names
    if without:
        raise GraphError(
            f"the graph has no answer (NaN) where {_listed(without)} is missing; say missing = "
            "'require' of each, so that gateways answer BAD, or put an imputer into the graph"
        )
    said = (
        f"the graph answers where {_listed(names)} is missing; whether rightly, only its training "
        "could tell: missing = 'require' is the safe choice"
    )
    return [said]


def _fails(graph: Graph, probes: Window, channels: list[int]) -> bool:
    """Whether windows that lack these channels, wholly or at the end, are not answered."""
    windows = np.stack([probes[0], probes[-1]])
    windows[0][:, channels] = np.nan
    windows[1][-1, channels] = np.nan
    return any(not np.isfinite(a).all() for a in _floats(answers_of(graph, windows)).values())


def _check_company(graph: Graph, golden: Golden, tolerance: GoldenSpec) -> None:
    """The same answers when asked again, alone, and among few."""
    if difference := _beyond(golden.outputs, answers_of(graph, golden.windows), tolerance):
        raise GraphError(
            f"asked twice, the graph answers differently: {difference}. Something in it is random; "
            "export it for inference (PyTorch: model.eval())"
        )
    for size in (1, MIXED):
        parts = [
            answers_of(graph, golden.windows[at : at + size])
            for at in range(0, len(golden.windows), size)
        ]
        given = {name: np.concatenate([part[name] for part in parts]) for name in golden.outputs}
        if difference := _beyond(golden.outputs, given, tolerance):
            raise GraphError(
                f"the answer to a window depends on the others of its batch: {difference} in a "
                f"batch of {size}. Look for a softmax or a normalisation over the first axis, or "
                "batch normalisation in training mode (PyTorch: model.eval() before the export)"
            )


def _beyond(wanted: Answers, given: Answers, tolerance: GoldenSpec) -> str | None:
    """The first answer that differs, in words."""
    for name, expected in wanted.items():
        found = given[name]
        error = np.abs(found.astype(np.float64) - expected.astype(np.float64))
        allowed = tolerance.atol + tolerance.rtol * np.abs(expected)
        off = ~(error <= (allowed if expected.dtype.kind == "f" else 0))
        if off.any():
            row = int(np.argmax(off.reshape(len(off), -1).any(axis=1)))
            return f"'{name}' of golden window {row} is {expected[row]}, and {found[row]}"
    return None


def _shown(sample: NDArray[np.float32], wanted: Declaration) -> str:
    pairs = zip(wanted.signals, sample.tolist(), strict=True)
    told = [f"{signal.name} {value:g}" for signal, value in pairs]
    return ", ".join(told[:_MAX_TOLD]) + (", ..." if len(told) > _MAX_TOLD else "")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_TOLD} more" if len(names) > _MAX_TOLD else ""
    return ", ".join(f"'{name}'" for name in names[:_MAX_TOLD]) + more
