"""How a recipe splits the rows, and what its checks allow: the sections `[split]`, `[checks]`."""

from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from models.bundle.manifest import Finite
from trainer.recipe.data_section import Label
from trainer.recipe.section import Section
from trainer.recipe.selection.file_pattern import first_that_fits
from trainer.recipe.time_section import MAX_S

Share = Annotated[Finite, Field(gt=0, lt=1)]


def _several(value: object) -> object:
    """Make a list of a single label."""
    return value if isinstance(value, list | tuple) else (value,)


class TimeSplit(Section):
    """The test part is the latest: a share of the rows, or all after each asset's first rows.

    Attributes:
        test: share of the rows in the test part, between 0 and 1; None where `train_rows` is
            given.
        train_rows: number of first rows of each asset that are trained on; None where `test` is
            given.
        gap_s: seconds after the last training row whose rows belong to neither part. They come on
            top of the gap of one window, which is always left; a label that depends on later rows
            needs as much more as it looks ahead.
    """

    method: Literal["time"]
    test: Share | None = None
    train_rows: Annotated[int, Field(ge=1)] | None = None
    gap_s: Annotated[Finite, Field(ge=0, le=MAX_S)] = 0.0

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.test is None) == (self.train_rows is None):
            raise ValueError("give either test, a share of the rows, or train_rows")
        return self


class GroupSplit(Section):
    """The test part is a share of the groups, each as a whole.

    Attributes:
        test: share of the groups in the test part, between 0 and 1.
        column: the column whose values are the groups; None takes the assets.
    """

    method: Literal["group"]
    test: Share = 0.25
    column: str | None = None


class PredefinedSplit(Section):
    """The test part is named by a column or by the names of files.

    Attributes:
        column: the column that tells test rows from training rows; None where `test_files` is
            given.
        test: the values of `column` that make a row a test row.
        test_files: patterns of the names of the files whose rows are test rows, as the report
            lists them.
    """

    method: Literal["predefined"]
    column: str | None = None
    test: Annotated[tuple[Label, ...], BeforeValidator(_several), Field(max_length=10_000)] = ()
    test_files: Annotated[tuple[str, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.column is None) == (not self.test_files):
            raise ValueError("give either test_files, or column and test")
        if (self.column is None) != (not self.test):
            raise ValueError("test lists the values of column that are test rows; give both")
        return self

    def is_test_file(self, name: str) -> bool:
        """Whether one of the patterns matches the file's name, with or without its folder."""
        return first_that_fits(self.test_files, name) is not None


class ShuffledSplit(Section):
    """The test part is drawn at random; `stratified` keeps each class's share in both parts.

    This is sound for rows without a time axis only: neighbours in time are alike, so a model is
    tested on rows that it has nearly been trained on. `random-optimistic` does it to a time series
    all the same, and the bundle says so beside its metrics.

    Attributes:
        test: share of the rows in the test part, between 0 and 1.
    """

    method: Literal["stratified", "random", "random-optimistic"]
    test: Share = 0.25


Split = Annotated[
    TimeSplit | GroupSplit | PredefinedSplit | ShuffledSplit, Field(discriminator="method")
]


def split_mistakes(
    split: Split, *, timed: bool, named: bool, classes: bool, remaining: bool
) -> list[str]:
    """Mistakes of the split that come from other sections of the recipe.

    Args:
        split: the recipe's `[split]`.
        timed: whether the data has a time axis.
        named: whether the data names assets.
        classes: whether the task is a classification.
        remaining: whether the target is the remaining useful life.
    """
    found, method = [], split.method
    if method == "time" and not timed:
        found.append("split.method is 'time', which needs data.time")
    if isinstance(split, GroupSplit) and split.column is None and not named:
        found.append(
            "split.method is 'group', which needs data.asset_column, asset_from or run, or "
            "split.column"
        )
    if method in ("stratified", "random") and timed:
        found.append(
            f"split.method is '{method}', which makes a model of a time series look better than "
            "it is, because neighbours of a test row are trained on; use 'time' or 'group', or "
            "the explicit 'random-optimistic'"
        )
    if method == "stratified" and not classes:
        found.append("split.method is 'stratified', which needs a classification; use 'random'")
    if remaining and not timed:
        found.append("target.remaining needs data.time")
    if remaining and method == "time":
        found.append(
            "target.remaining is known for whole runs only, which 'time' cuts; use split.method "
            "'group'"
        )
    return found


Allowable = Literal[
    "duplicated-files",
    "duplicated-rows",
    "groups-on-both-sides",
    "same-time-rows",
    "target-leak",
]
# Checks whose errors a recipe may allow; the other errors leave nothing that could be measured.
ALLOWABLE = frozenset(get_args(Allowable))


class Checks(Section):
    """Errors found before the training that do not end it.

    Attributes:
        allow: names of checks; the report lists their errors as overridden.
    """

    allow: Annotated[tuple[Allowable, ...], Field(max_length=len(ALLOWABLE))] = ()
