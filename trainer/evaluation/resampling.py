"""What of the test part is drawn as a whole, by how it was held out."""

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
    """Groups that were held out, else blocks in time or rows.

    Args:
        subject: the recording and how it was parted.
        tested: windows of the test part, or some of them.
        series: what blocks must be long enough for, `[n]` each.
        least: windows that share samples; as the recipe has them if not given.
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
