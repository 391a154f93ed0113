"""A bundle of another day, asked about the rows of a recording.

Signals are found by name. The windows are the bundle's own, of the same rows with whatever came
before them, as on a gateway; but it is asked at every row, whatever its hop.
"""

from dataclasses import dataclass, replace
from math import isclose
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Channel, Manifest, WindowSpec
from models.bundle.package import Bundle
from trainer.dataset.windows import Windowed, window_rows
from trainer.errors import ComparisonError, DataError
from trainer.estimators.fitting import Answers, Model
from trainer.graph.export import Graph
from trainer.ingest.recording import Recording

_BLOCK_VALUES = 1 << 24


@dataclass(frozen=True, slots=True)
class Asked:
    """What a bundle is asked about.

    Attributes:
        recording: its rows.
        channels: signals of the recording, as the recipe describes them.
        spec: the recipe's window.
        rows: that an answer is wanted at, `[n]`.
    """

    recording: Recording
    channels: tuple[Channel, ...]
    spec: WindowSpec
    rows: NDArray[np.int64]


def served(bundle: Bundle, asked: Asked) -> tuple[NDArray[np.int64], Answers]:
    """The rows that the bundle has an answer at, rising, and its answers.

    Raises:
        ComparisonError: it reads something that the recording has not.
        BundleError: onnxruntime refuses the graph, or what it is given.
    """
    manifest = bundle.manifest
    _check_signals(manifest, asked.channels)
    _check_pace(manifest.window, asked.spec)
    windows = _windows(manifest, asked)
    rows, last = last_of_rows(windows)
    windows = windows.take(last[np.isin(rows, asked.rows)])
    if not len(windows):
        raise ComparisonError("it has no window that ends at a row of the test part")
    return windows.rows, answered(Graph(bundle.model), windows)


def answered(graph: Graph, windows: Windowed) -> Answers:
    """What a graph answers to windows, by output; those that are copied a part at a time."""
    size = max(1, _BLOCK_VALUES // (windows.length * windows.series.shape[1]))
    parts = np.split(np.arange(len(windows)), range(size, len(windows), size))
    blocks = [graph.run(windows.take(part).values) for part in parts]
    return {name: np.concatenate([one[name] for one in blocks]) for name in graph.outputs}


def last_of_rows(windows: Windowed) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows at which windows end, rising, and the last window of each; on a grid it has several."""
    rows, back = np.unique(windows.rows[::-1], return_index=True)
    return rows, len(windows) - 1 - back


def translated(answers: Answers, manifest: Manifest, model: Model) -> dict[str, NDArray[Any]]:
    """A bundle's answers in the words of another model of the same task: classes by their names.

    Without probabilities the score is 0: whose score a bundle's own is, its manifest does not say.

    Raises:
        ComparisonError: it has other classes, or another meaning or unit; or an answer is no
            number, or no class.
    """
    value = answers["value"]
    if not np.isfinite(value).all():
        raise ComparisonError(f"it has no finite answer to {int((~np.isfinite(value)).sum())} rows")
    if model.task == "regression":
        _check_meaning(manifest, model)
        return {"value": value}
    names = manifest.outputs[0].classes
    if set(names) != set(model.classes):
        found, wanted = ", ".join(names) or "no classes", ", ".join(model.classes)
        raise ComparisonError(f"it tells {found}, the recipe's target has {wanted}")
    if value.min() < 0 or value.max() >= len(names):
        raise ComparisonError("it answers with a class that it has no name for")
    order = np.array([model.classes.index(name) for name in names])
    said = {"value": order[value], "score": np.zeros(len(value), dtype=np.float32)}
    if "probabilities" in answers:
        likely = answers["probabilities"][:, np.argsort(order)]
        said |= {"probabilities": likely, "score": likely[:, model.positive]}
    return said


def _check_signals(manifest: Manifest, channels: tuple[Channel, ...]) -> None:
    known = {channel.name: channel for channel in channels}
    absent = [f"'{one.name}'" for one in manifest.channels if one.name not in known]
    if absent:
        raise ComparisonError(f"it reads {', '.join(absent[:5])}, no signal of the recipe")
    for channel in manifest.channels:
        unit = known[channel.name].unit
        if channel.unit and unit and channel.unit != unit:
            raise ComparisonError(
                f"it reads '{channel.name}' in {channel.unit}, the recipe has it in {unit}"
            )


def _check_pace(window: WindowSpec, here: WindowSpec) -> None:
    """A window of several samples means something at the pace that it was learned at only."""
    if window.length == 1 and not window.is_on_grid:
        return
    wanted, found = window.sample_period_ms, here.sample_period_ms
    if found is None:
        raise ComparisonError(f"it reads {window.length} samples in time, the rows have no time")
    if wanted is not None and not window.is_on_grid and not isclose(wanted, found, rel_tol=0.1):
        raise ComparisonError(f"it reads a sample every {wanted:g} ms, the recipe {found:g} ms")


def _check_meaning(manifest: Manifest, model: Model) -> None:
    theirs, ours = manifest.outputs[0], model.outputs[0]
    if theirs.unit and ours.unit and theirs.unit != ours.unit:
        raise ComparisonError(f"it answers in {theirs.unit}, the recipe's target is in {ours.unit}")
    if theirs.meaning != ours.meaning and not manifest.lineage.origin:
        raise ComparisonError(f"its answer is '{theirs.meaning}', the recipe's '{ours.meaning}'")


def _windows(manifest: Manifest, asked: Asked) -> Windowed:
    """Windows of the champion's kind, one at each row as far as that can be."""
    recording, spec = asked.recording, manifest.window.model_copy(update={"hop": 1})
    index = [recording.channels.index(channel.name) for channel in manifest.channels]
    reported = None if recording.reported is None else recording.reported[:, index]
    rows = _rows(asked, spec)
    if reported is not None:
        rows = rows[reported[rows].any(axis=1)]
    own = replace(
        recording,
        channels=tuple(channel.name for channel in manifest.channels),
        values=recording.values[:, index],
        reported=reported,
    )
    try:
        return window_rows(own, rows, spec, manifest.channels)
    except DataError as exc:
        raise ComparisonError(f"its windows of {spec.length} samples are too many: {exc}") from exc


def _rows(asked: Asked, spec: WindowSpec) -> NDArray[np.int64]:
    """The rows that its windows can need: twice as many as a window, for some may be late."""
    recording = asked.recording
    asset, rank = recording.asset, recording.rank()
    first = np.full(len(recording.assets), len(recording))
    np.minimum.at(first, asset[asked.rows], rank[asked.rows])
    if spec.is_on_grid or recording.rows_per_sample > 1:  # samples hang on how it all began
        return np.flatnonzero(first[asset] < len(recording))
    return np.flatnonzero(
        (first[asset] < len(recording)) & (rank >= first[asset] - 2 * spec.length)
    )
