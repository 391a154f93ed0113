"""Chooses the units of a bootstrap by how the test part was held out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.dataset.subject import Subject
from trainer.dataset.windows import Windowed
from trainer.evaluation.intervals import Units, groups, units
from trainer.recipe.split_section import GroupSplit, PredefinedSplit


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups that the windows of the test part are of.

    Attributes:
        index: index of the group of each window, `[n]`.
        of: what the groups are, in the plural.
        apart: whether the training part has none of them, so that the metrics are to hold for
            others of their kind.
    """

    index: NDArray[Any]
    of: str
    apart: bool


def groups_of(subject: Subject, tested: Windowed) -> Groups:
    """The values of the split's column, or files, or assets, whichever were held out as a whole.

    A column with one value in the test part only says which part a row belongs to, so that its
    values are no groups. Files are groups where they are not simply the later ones.

    Args:
        subject: the recording and its split.
        tested: windows of the test part, or some of them.
    """
    split, member = subject.recipe.split, subject.truth.member
    if member is not None and isinstance(split, GroupSplit | PredefinedSplit):
        index = np.unique(member[tested.rows], return_inverse=True)[1]
        if isinstance(split, GroupSplit) or index.max(initial=0) > 0:
            return Groups(index, f"values of '{split.column}'", apart=True)
    if not len(np.intersect1d(subject.parts.train.asset, tested.asset)):
        return Groups(tested.asset, "assets", apart=True)
    by_file = isinstance(split, PredefinedSplit) and bool(split.test_files)
    if by_file and not _only_later(subject):
        return Groups(subject.recording.file[tested.rows], "files", apart=True)
    return Groups(tested.asset, "assets", apart=False)


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
    recipe, timed = subject.recipe, subject.recording.timed
    held = groups_of(subject, tested)
    if held.apart:
        return groups(held.index, held.of)
    return units(
        held.index,
        series,
        timed=timed,
        whole=not timed and recipe.data.names_assets,
        least=least or -(-recipe.window.length // recipe.window.hop),
    )


def _only_later(subject: Subject) -> bool:
    """Whether the test part is what follows the training part in time."""
    recording, parts = subject.recording, subject.parts
    if not recording.timed:
        return False
    last = recording.times_ns[parts.train.rows].max()
    return bool(recording.times_ns[parts.test.rows].min() > last)
