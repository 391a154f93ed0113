"""The trial of an external graph: what every graph must do, whatever it was trained for.

It must answer every window within the ranges with finite numbers, the same ones whenever it is run
and whatever other windows are in the batch. If a signal is missing, it must answer too, or the
description must require the signal. Whether the answers are right cannot be checked here.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.bundle.golden import MIN_COUNT, Golden
from models.bundle.manifest import GoldenSpec
from trainer.bundle.golden import MOST_MADE_UP, edge_windows, edges, spread
from trainer.errors import GraphError, listed
from trainer.estimators.fitting import Answers
from trainer.external.declaration import Declaration
from trainer.external.outputs import MIXED, answers_of, classes_follow, margin
from trainer.graph.export import Graph

Window = NDArray[np.float32]
MAX_PROBES: Final = 512
_MAX_PROBE_VALUES: Final = 4_000_000
_MAX_NAMED: Final = 8
# How far probabilities may be from a sum of 1, for graphs that compute in float16.
_PROBABILITY_SLACK: Final = 1e-3
# Relative distance of a score from the threshold within which either class is accepted.
_SAME: Final = 1e-5


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The result of a trial that has passed.

    Attributes:
        golden: golden windows with the graph's own answers.
        tolerance: allowed difference of another machine's answers to the golden windows.
        probes: number of windows within the ranges that were answered with finite numbers.
        notes: notes for the reader of the report.
    """

    golden: Golden
    tolerance: GoldenSpec
    probes: int
    notes: tuple[str, ...]


def probe_count(length: int, width: int) -> int:
    """Number of windows of `length` samples of `width` signals that a graph is tried on."""
    return max(MIN_COUNT, min(MAX_PROBES, _MAX_PROBE_VALUES // (length * width)))


def made_up(wanted: Declaration, usual: Window | None) -> Window:
    """Random windows within the ranges: half constant in time, half with independent samples.

    Args:
        wanted: the description, for the ranges of the signals and the length of the window.
        usual: recorded windows, `[n, length, channels]`, for the extremes of signals without a
            range; None where every signal has one.

    Returns:
        Float32 `[n, length, channels]`, the same at every call, without missing values.
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


def check_recorded(graph: Graph, wanted: Declaration, windows: Window) -> None:
    """Check that recorded windows, `[n, length, channels]`, have an answer too.

    Raises:
        GraphError: an answer is not finite, or not a declared class.
    """
    _check_sound(answers_of(graph, windows), windows, wanted)


def check_answers(graph: Graph, wanted: Declaration, usual: Window, probes: Window) -> TrialResult:
    """Try the adapted graph, and make its golden vectors.

    Args:
        graph: the graph, with the input and outputs of a bundle.
        wanted: the description of the graph.
        usual: windows for the golden vectors, `[n, length, channels]`.
        probes: windows within the ranges, `[n, length, channels]`, without missing values.

    Raises:
        GraphError: the graph fails a check; the message has the window and the remedy.
    """
    answers = answers_of(graph, probes)
    _check_sound(answers, probes, wanted)
    notes = [*_missing(graph, wanted, probes), *_oddities(answers, wanted)]
    windows = np.concatenate([spread(usual, MOST_MADE_UP), _odd(usual, wanted)])
    given = answers_of(graph, windows)
    _check_sound(given, windows, wanted)
    tolerance = _tolerance(answers)
    clear = margin(given, wanted) > 2 * (tolerance.atol + tolerance.rtol * size_of(given))
    if not clear.any():
        raise GraphError(
            f"in all of {len(windows)} windows two classes are nearly equal, so another machine "
            "may give either of them; correct the threshold or the ranges"
        )
    golden = Golden(windows[clear], {name: array[clear] for name, array in given.items()})
    _check_repeated(graph, golden, tolerance)
    promised = tolerance.model_copy(update={"count": len(golden.windows)})
    return TrialResult(golden, promised, len(probes), tuple(notes))


def _odd(usual: Window, wanted: Declaration) -> Window:
    """Windows with edges and missing values, but not where the signal is required."""
    ends = edges(usual, wanted.channels)
    odd = np.stack(list(edge_windows(usual[len(usual) // 2], *ends)))
    required = [signal.missing == "require" for signal in wanted.signals]
    return odd[~np.isnan(odd[:, :, required]).any(axis=(1, 2))]


def size_of(answers: Answers) -> NDArray[np.float32] | np.float32:
    """Amount of each score, `[n]`; 0 without one."""
    return np.abs(answers["score"]) if "score" in answers else np.float32(0)


def _tolerance(answers: Answers) -> GoldenSpec:
    """1e-4 of each answer and 1e-5 of their spread, as for models that are trained here."""
    spreads = [float(np.std(array.astype(np.float64))) for array in _floats(answers).values()]
    spread = min([one for one in spreads if one > 0], default=1.0)
    return GoldenSpec(count=MIN_COUNT, atol=float(f"{1e-5 * spread:.3g}"), rtol=1e-4)


def _floats(answers: Answers) -> Answers:
    return {name: array for name, array in answers.items() if array.dtype.kind == "f"}


def _check_sound(answers: Answers, windows: Window, wanted: Declaration) -> None:
    """Check for finite numbers, declared classes, and probabilities that sum to 1."""
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
            f"of {len(value)} windows; classes are {', '.join(wanted.classes[:_MAX_NAMED])}"
        )
    # A graph that computes in float64 may differ where the score is on the threshold.
    follows = classes_follow(answers, wanted) | (
        margin(answers, wanted) <= _SAME * size_of(answers)
    )
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
            f"the declared probabilities do not sum to 1: those of a window are {shares[row]}, "
            f"together {total[row]:g}; if they are logits, set apply = 'softmax'"
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
            "windows: check the order of the classes"
        )
    return said


def _missing(graph: Graph, wanted: Declaration, probes: Window) -> list[str]:
    """Run the graph without each signal that may be missing; return a note on the result."""
    optional = [i for i, signal in enumerate(wanted.signals) if signal.missing == "impute"]
    names = [wanted.signals[index].name for index in optional]
    if not optional:
        return []
    if not any(output.dtype == "float32" for output in wanted.promised()):
        raise GraphError(
            f"a class alone does not show whether the graph can answer without {_quoted(names)}; "
            "declare its score or its probabilities too, or set missing = 'require' for them"
        )
    without = [name for i, name in zip(optional, names, strict=True) if _fails(graph, probes, [i])]
    if not without and _fails(graph, probes, optional):
        without = names
    if without:
        raise GraphError(
            f"the graph has no answer (NaN) where {_quoted(without)} is missing; set missing = "
            "'require' for each, so that gateways answer BAD, or put an imputer into the graph"
        )
    said = (
        f"the graph answers where {_quoted(names)} is missing; whether these answers are right is "
        "not checked, so missing = 'require' is the safe choice"
    )
    return [said]


def _fails(graph: Graph, probes: Window, channels: list[int]) -> bool:
    """Whether windows without these signals, everywhere or in the last sample, give no number."""
    windows = np.stack([probes[0], probes[-1]])
    windows[0][:, channels] = np.nan
    windows[1][-1, channels] = np.nan
    return any(not np.isfinite(a).all() for a in _floats(answers_of(graph, windows)).values())


def _check_repeated(graph: Graph, golden: Golden, tolerance: GoldenSpec) -> None:
    """Check that answers are the same in a second run, alone, and in a batch of another size."""
    if difference := _beyond(golden.outputs, answers_of(graph, golden.windows), tolerance):
        raise GraphError(
            f"two runs of the graph give different answers: {difference}. Something in it is "
            "random; export it for inference (PyTorch: model.eval())"
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
    """The first answer that differs by more than the tolerance, in words; None if there is none."""
    for name, expected in wanted.items():
        found = given[name]
        error = np.abs(found.astype(np.float64) - expected.astype(np.float64))
        allowed = tolerance.atol + tolerance.rtol * np.abs(expected)
        off = ~(error <= (allowed if expected.dtype.kind == "f" else 0))
        if off.any():
            row = int(np.argmax(off.reshape(len(off), -1).any(axis=1)))
            return f"'{name}' of golden window {row} is {expected[row]}, then {found[row]}"
    return None


def _shown(sample: NDArray[np.float32], wanted: Declaration) -> str:
    pairs = zip(wanted.signals, sample.tolist(), strict=True)
    values = [f"{signal.name} {value:g}" for signal, value in pairs]
    return listed(values, _MAX_NAMED)


def _quoted(names: list[str]) -> str:
    return listed([f"'{name}'" for name in names], _MAX_NAMED)
