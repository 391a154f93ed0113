"""Chooses the units of a bootstrap by how the test part was held out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.dataset.subject import Subject
from trainer.dataset.windows import Windowed
from trainer.evaluation.intervals import Units, units


def units_of(
    subject: Subject,
    tested: Windowed,
    series: Mapping[str, NDArray[Any]],
    *,
    least: int | None = None,
) -> Units:
    """The groups that were held out, otherwise blocks in time or rows.

    Args:
        subject: the recording and its split.
        tested: windows of the test part, or some of them.
        series: losses by name, `[n]` each; a block must be as long as they are correlated.
        least: number of consecutive windows that share samples; None: by the recipe's window.
    """
    parts, recipe, member = subject.parts, subject.recipe, subject.truth.member
    group, timed = tested.asset, subject.recording.timed
    apart = not len(np.intersect1d(parts.train.asset, group))
    if recipe.split.method == "group" and member is not None:
        group, apart = np.unique(member[tested.rows], return_inverse=True)[1], True
    return units(
        group,
        series,
        timed=timed,
        whole=apart or (not timed and recipe.data.names_assets),
        least=least or -(-recipe.window.length // recipe.window.hop),
    )
