"""How a recipe parts the rows: its sections `[split]` and `[checks]`."""

from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from models.bundle.manifest import Finite
from trainer.recipe.data_section import MAX_S, Label, Section

Share = Annotated[Finite, Field(gt=0, lt=1)]


def _several(value: object) -> object:
    """One label is a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


class TimeSplit(Section):
    """The test part is the last: a share of the rows, or all after each asset's first rows.

    Attributes:
        gap_s: rows so soon after the last training row belong to neither part, beyond the gap of a
            window that is always there; for a truth that looks ahead, as far as it does.
    """

    method: Literal["time"]
    test: Share | None = None
    train_rows: Annotated[int, Field(ge=1)] | None = None
    gap_s: Annotated[Finite, Field(ge=0, le=MAX_S)] = 0.0

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.test is None) == (self.train_rows is None):
            raise ValueError("give test, a share of the rows, or train_rows: just one")
        return self


class GroupSplit(Section):
    """The test part is a share of the groups, whole: of the assets, or of a column's values."""

    method: Literal["group"]
    test: Share = 0.25
    column: str | None = None


class PredefinedSplit(Section):
    """The test part is what a column or the files' names say.

    Attributes:
        column: of the part, or of anything else that tells the test rows.
        test: the values of `column` that are test rows.
        test_files: patterns of the test part's files, by their names as the report lists them.
    """

    method: Literal["predefined"]
    column: str | None = None
    test: Annotated[tuple[Label, ...], BeforeValidator(_several), Field(max_length=10_000)] = ()
    test_files: Annotated[tuple[str, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.column is None) == (not self.test_files):
            raise ValueError("give test_files, or column and test: just one")
        if (self.column is None) != (not self.test):
            raise ValueError("test names the values of column that are test rows: give both")
        return self

    def is_test_file(self, name: str) -> bool:
        """Whether one of the patterns matches the file's name, with or without its folder."""
        return any(
            fnmatchcase(name, pattern) or fnmatchcase(name.rsplit("/", 1)[-1], pattern)
            for pattern in self.test_files
        )


class ShuffledSplit(Section):
    """The test part is drawn at random; `stratified` keeps each class's share.

    Only rows without a time axis are independent enough for that. `random-optimistic` does it
    to a time series all the same, and the bundle says so wherever its figures are.
    """

    method: Literal["stratified", "random", "random-optimistic"]
    test: Share = 0.25


Split = Annotated[
    TimeSplit | GroupSplit | PredefinedSplit | ShuffledSplit, Field(discriminator="method")
]


def split_mistakes(
    split: Split, *, timed: bool, named: bool, classes: bool, remaining: bool
) -> list[str]:
    """What does not fit the rest of the recipe.

    Args:
        split: how the rows are parted.
        timed: whether the data has a time axis.
        named: whether it names assets.
        classes: whether the target is classes.
        remaining: whether the target is the time until an asset's last row.
    """
    found, method = [], split.method
    if method == "time" and not timed:
        found.append("split.method is 'time', which needs data.time")
    if isinstance(split, GroupSplit) and split.column is None and not named:
        found.append(
            "split.method is 'group', which needs data.asset_column or asset_from, or split.column"
        )
    if method in ("stratified", "random") and timed:
        found.append(
            f"split.method is '{method}', which flatters a model of a time series: neighbours "
            "of a test row would be trained on; use 'time' or 'group', or ask for it by the "
            "name 'random-optimistic'"
        )
    if method == "stratified" and not classes:
        found.append("split.method is 'stratified', which needs classes; use 'random'")
    if remaining and not timed:
        found.append("target.remaining needs data.time")
    if remaining and method == "time":
        found.append("target.remaining is known of whole runs only: split.method 'group'")
    return found


Allowable = Literal[
    "duplicated-files",
    "duplicated-rows",
    "groups-on-both-sides",
    "same-time-rows",
    "target-leak",
]
ALLOWABLE = frozenset(get_args(Allowable))
"""Checks whose errors a recipe may allow."""


class Checks(Section):
    """Errors found before the training that do not end it; the report calls them overridden."""

    allow: Annotated[tuple[Allowable, ...], Field(max_length=len(ALLOWABLE))] = ()
