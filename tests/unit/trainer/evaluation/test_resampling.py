"""What is drawn for an interval is what was held out, and too few of it give none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.kit.recordings import recipe, recorded
from tests.kit.wording import names
from trainer.dataset.groups import with_membership
from trainer.dataset.splits import split
from trainer.dataset.subject import Subject
from trainer.dataset.targets import truth
from trainer.evaluation.difference import paired_difference
from trainer.evaluation.intervals import Units, groups, intervals
from trainer.evaluation.metrics import WeightedMetrics
from trainer.evaluation.resampling import units_of
from trainer.ingest.recording import Recording

ROWS = 480
NUMBER = {"task": "regression", "column": "label"}
BY_ASSET = {"asset_column": "pump"}


def recording_of(
    assets: int = 1, files: int = 1, column: NDArray[np.object_] | None = None
) -> Recording:
    """Rows of as many assets in turn; the files follow each other in time."""
    values = np.random.default_rng(0).normal(size=(ROWS, 2))
    made = recorded(values, asset=np.arange(ROWS) % assets, labels=values[:, 0])
    return replace(
        made,
        files=tuple(f"{index}.csv" for index in range(files)),
        file=np.arange(ROWS) * files // ROWS,
        digests={f"{index}.csv": f"{index:064}" for index in range(files)},
        texts={} if column is None else {"load": column},
    )


def drawn(folder: Path, recording: Recording, **sections: object) -> Units:
    made = recipe(folder, **{"target": NUMBER, **sections})
    known = with_membership(truth(recording, made), recording, made)
    parts = split(recording, known, made, made.window.spec(1000))
    return units_of(
        Subject(recording, known, made, parts), parts.test, {"error": np.zeros(len(parts.test))}
    )


def loads(count: int) -> NDArray[np.object_]:
    """As many loads, each in a stretch of its own."""
    return np.array([f"load {index * count // ROWS}" for index in range(ROWS)], dtype=object)


@pytest.mark.parametrize(("assets", "enough"), [(12, False), (24, True)], ids=["three", "six"])
def test_other_assets_are_judged_by_whole_assets_and_only_by_enough_of_them(
    tmp_path: Path, assets: int, *, enough: bool
) -> None:
    found = drawn(
        tmp_path,
        recording_of(assets),
        data=BY_ASSET,
        split={"method": "group", "test": 0.25},
    )
    assert (found.kind, found.count, found.too_few) == ("groups", assets // 4, not enough)
    assert names(found.said, str(assets // 4), "assets")
    assert found.said.startswith("95 % intervals" if enough else "no interval")


def test_values_of_the_splits_column_are_drawn_and_not_the_assets(tmp_path: Path) -> None:
    found = drawn(
        tmp_path / "group",
        recording_of(8, column=loads(12)),
        data=BY_ASSET,
        split={"method": "group", "column": "load", "test": 0.5},
    )
    assert (found.kind, found.count, found.of) == ("groups", 6, "values of 'load'")
    predefined = drawn(
        tmp_path / "predefined",
        recording_of(column=loads(12)),
        split={"method": "predefined", "column": "load", "test": ["load 3", "load 5"]},
    )
    assert (predefined.count, predefined.too_few) == (2, True)
    assert names(predefined.said, "'load'", "2", "5")


def test_column_that_only_names_the_parts_is_no_group(tmp_path: Path) -> None:
    part = np.where(np.arange(ROWS) < 300, "learn", "check").astype(object)
    found = drawn(
        tmp_path,
        recording_of(column=part),
        split={"method": "predefined", "column": "load", "test": ["check"]},
    )
    assert found.kind == "blocks"


def test_files_in_between_are_groups_and_later_files_are_time(tmp_path: Path) -> None:
    def of(folder: str, *files: str) -> Units:
        split_ = {"method": "predefined", "test_files": list(files)}
        return drawn(tmp_path / folder, recording_of(files=8), split=split_)

    between, later = of("between", "2.csv", "5.csv"), of("later", "6.csv", "7.csv")
    assert (between.kind, between.count, between.of) == ("groups", 2, "files")
    assert later.kind == "blocks"


def test_too_few_groups_give_neither_an_interval_nor_a_verdict_on_the_champion() -> None:
    error = np.random.default_rng(0).normal(size=300)
    few = groups(np.arange(300) % 4, "assets")

    def mean_of(shift: float) -> WeightedMetrics:
        return lambda weights: {"mae": weights @ (error + shift) / weights.sum(axis=1)}

    assert intervals(mean_of(0), few) == {}
    difference = paired_difference("mae", mean_of(9), mean_of(0), few)
    assert difference is not None
    assert difference.value == pytest.approx(-9)
    assert difference.verdict == "not shown to be better"
    assert names(str(difference), "-9", "no interval")
    many = groups(np.arange(300) % 5, "assets")
    shown = paired_difference("mae", mean_of(9), mean_of(0), many)
    assert shown is not None
    assert shown.verdict == "better"


def test_each_group_alone_has_the_weights_of_its_windows() -> None:
    alone = groups(np.array([1, 0, 1, 2]), "assets").each()
    assert alone.tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
