"""The answers of an earlier bundle at the rows of a recording.

Signals are found by name. The windows are those of the bundle's manifest, made of the same rows and
of the rows before them, as on a gateway; but the bundle answers at every row, whatever its hop.
"""

from dataclasses import dataclass, replace
from math import isclose
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Channel, Manifest, WindowSpec
from models.bundle.package import StoredBundle
from trainer.dataset.windows import Windowed, window_rows
from trainer.errors import ComparisonError, DataError, first_few
from trainer.estimators.fitting import Answers, Model
from trainer.graph.export import Graph
from trainer.ingest.recording import Recording

_BLOCK_VALUES = 1 << 24


@dataclass(frozen=True, slots=True)
class Asked:
    """The rows that a bundle should answer at.

    Attributes:
        recording: the recording that the rows are from.
        channels: signals of the recording, as the recipe describes them.
        spec: the recipe's window.
        rows: indices of the rows to answer at, `[n]`.
    """

    recording: Recording
    channels: tuple[Channel, ...]
    spec: WindowSpec
    rows: NDArray[np.int64]


def served(bundle: StoredBundle, asked: Asked) -> tuple[NDArray[np.int64], Answers]:
    """The rows at which the bundle has an answer, ascending, and its answers.

    Raises:
        ComparisonError: the bundle needs something that the recording does not have.
        BundleError: onnxruntime refuses the graph or its input.
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
    """The answers of a graph to windows, by output; computed in parts to bound the memory."""
    size = max(1, _BLOCK_VALUES // (windows.length * windows.series.shape[1]))
    parts = np.split(np.arange(len(windows)), range(size, len(windows), size))
    blocks = [graph.run(windows.take(part).values) for part in parts]
    return {name: np.concatenate([one[name] for one in blocks]) for name in graph.outputs}


def last_of_rows(windows: Windowed) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows at which windows end, ascending, and the last window of each: a grid has several."""
    rows, back = np.unique(windows.rows[::-1], return_index=True)
    return rows, len(windows) - 1 - back


def translated(answers: Answers, manifest: Manifest, model: Model) -> dict[str, NDArray[Any]]:
    """Translate a bundle's answers to the classes of another model of the same task, by name.

    Without probabilities the score is 0, because the manifest does not say which class the score of
    the bundle is about.

    Raises:
        ComparisonError: classes, meaning or unit differ, or an answer is not finite or not a class.
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
        raise ComparisonError(f"it reads {first_few(absent)}, no signal of the recipe")
    for channel in manifest.channels:
        unit = known[channel.name].unit
        if channel.unit and unit and channel.unit != unit:
            raise ComparisonError(
                f"it reads '{channel.name}' in {channel.unit}, the recipe has it in {unit}"
            )


def _check_pace(window: WindowSpec, here: WindowSpec) -> None:
    """Check the sample period: a model of several samples is valid at its own period only."""
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
    """Windows as the champion's manifest describes them, one at each row where that is possible."""
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
    """The rows that the windows may need: two window lengths back, because rows may be late."""
    recording = asked.recording
    asset, rank = recording.asset, recording.rank()
    first = np.full(len(recording.assets), len(recording))
    np.minimum.at(first, asset[asked.rows], rank[asked.rows])
    if spec.is_on_grid or recording.rows_per_sample > 1:  # samples depend on the first row
        return np.flatnonzero(first[asset] < len(recording))
    return np.flatnonzero(
        (first[asset] < len(recording)) & (rank >= first[asset] - 2 * spec.length)
    )
