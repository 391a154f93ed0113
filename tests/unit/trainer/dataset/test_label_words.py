"""A word such as `None` in a column of labels is a label, or asked about; it never disappears."""

from pathlib import Path

import pytest

from tests.kit.recordings import recipe, write_csv
from tests.kit.wording import names
from trainer.dataset.targets import Truth
from trainer.dataset.training_rows import training_rows
from trainer.errors import DataError

HEADER = ["time", "pressure", "flow", "label"]


def truth_of(folder: Path, labels: list[str], *, na_values: list[str], **target: object) -> Truth:
    rows = [(f"2025-03-01T00:{n // 60:02d}:{n % 60:02d}Z", n, 1, x) for n, x in enumerate(labels)]
    write_csv(folder / "pump.csv", HEADER, rows)
    wanted = {"task": "classification", "column": "label", **target}
    _, known = training_rows(recipe(folder, data={"na_values": na_values}, target=wanted))
    return known


def read(folder: Path, labels: list[str], **target: object) -> Truth:
    return truth_of(folder, labels, na_values=[], **target)


@pytest.mark.parametrize("word", ["None", "NA", "null"])
def test_frequent_word_that_may_mean_no_label_is_asked_about(tmp_path: Path, word: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, ["Belt", word, "Bearing", word])
    said = str(caught.value)
    assert names(said, "pump.csv line 3, column 'label'", f"'{word}' in 2 of 4 rows")
    assert names(said, "target.classes", f'data.na_values = ["{word}"]')


def test_word_that_the_recipe_lists_is_a_class(tmp_path: Path) -> None:
    known = read(tmp_path, ["Belt", "None", "None"], classes=["None", "Belt"])
    assert (known.classes, known.y.tolist()) == (("None", "Belt"), [1, 0, 0])


def test_word_that_the_recipe_calls_normal_is_normal(tmp_path: Path) -> None:
    known = read(tmp_path, ["Belt", "None", "None"], task="anomaly", normal="None")
    assert known.y.tolist() == [1, 0, 0]


def test_word_that_the_recipe_calls_no_value_is_no_label(tmp_path: Path) -> None:
    known = truth_of(tmp_path, ["Belt", "None", "Bearing"], na_values=["None"])
    assert known.known.tolist() == [True, False, True]
    assert known.classes == ("Bearing", "Belt")


def test_rare_word_is_no_label_and_said(tmp_path: Path) -> None:
    known = read(tmp_path, ["Belt", "Bearing"] * 100 + ["NaN"])
    assert (known.classes, known.known.sum()) == (("Bearing", "Belt"), 200)
    assert known.notes == ("column 'label': 'NaN' in 1 rows is taken as no label",)


def test_empty_label_is_no_label_without_a_word(tmp_path: Path) -> None:
    known = read(tmp_path, ["Belt", "", "Bearing", ""])
    assert (known.known.tolist(), known.notes) == ([True, False, True, False], ())


def test_label_that_stands_for_no_class_leaves_its_rows_without_one(tmp_path: Path) -> None:
    known = read(tmp_path, ["1", "0", "0.0", "4"], ignore=[0])
    assert (known.classes, known.known.tolist()) == (("1", "4"), [True, False, False, True])
    assert names(known.notes, "2 rows", "target.ignore")


def test_label_that_is_no_class_is_told_the_keys_that_may_name_it(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, ["1", "0", "4"], classes=["1", "4"])
    said = str(caught.value)
    assert names(said, "pump.csv line 3", "found '0'", "target.classes", "target.ignore")
