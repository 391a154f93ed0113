"""Runs that follow each other under one name: where time goes back, a new run begins."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.ingest.recording import Recording

MAX_RUNS = 100_000


def told_apart(recording: Recording, *, named: bool) -> tuple[Recording, str]:
    """Make every run an asset of its own, and say how many there are.

    Args:
        recording: rows in the order of the files, not sorted by time yet.
        named: whether the rows name their assets; otherwise the runs are called `run-1`, `run-2`.

    Raises:
        DataError: there are more runs than `MAX_RUNS`, so that rows are rather out of order.
    """
    order = np.argsort(recording.asset, kind="stable")
    asset = recording.asset[order]
    other = np.diff(asset) != 0
    back = (np.diff(recording.times_ns[order]) < 0) & ~other
    run = np.concatenate([[0], np.cumsum(back | other)])
    restarts = order[1:][back]
    count = int(run[-1]) + 1
    if count > MAX_RUNS:
        raise DataError(
            f"data.run is 'restart', but time goes back in {len(restarts)} rows, first at "
            f"{recording.place(int(restarts.min()))}; at most {MAX_RUNS} runs are read: the rows "
            "are out of order rather than of new runs"
        )
    owner = asset[np.concatenate([[0], np.flatnonzero(back | other) + 1])]
    within = np.arange(count) - np.searchsorted(owner, owner)
    names = tuple(
        f"{recording.assets[which] if named else 'run'}-{number + 1}"
        for which, number in zip(owner.tolist(), within.tolist(), strict=True)
    )
    of_row = np.empty(len(recording), dtype=np.int32)
    of_row[order] = run
    return replace(recording, assets=names, asset=of_row), _said(recording, names, run, restarts)


def _said(
    recording: Recording, names: tuple[str, ...], run: NDArray[Any], restarts: NDArray[Any]
) -> str:
    if not len(restarts):
        return "time never goes back: every asset has one run"
    rows = np.bincount(run)
    return (
        f"{len(names)} runs of {rows.min()} to {rows.max()} rows, because time goes back "
        f"{len(restarts)} times, first at {recording.place(int(restarts.min()))}"
    )
