"""Copies of files that a recipe allows, and the files of rows that contradict each other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.kit.findings import RANDOM, noise, one, rare, texts
from tests.kit.recordings import pump_rows, recipe, recorded, write_csv
from tests.kit.wording import names
from trainer.checks.finding import Finding
from trainer.checks.suite import examine
from trainer.dataset.splits import split
from trainer.dataset.subject import Subject
from trainer.dataset.training_rows import training_rows
from trainer.errors import DataError
from trainer.recipe.document import Recipe

BY_NAME = {
    "data": {"file_template": "{kind}_{number}.csv", "time": None},
    "target": {"task": "classification", "column": "kind"},
    "split": {"method": "random", "test": 0.3},
    "window": {"length": 1},
}


def written(folder: Path, *files: str, **sections: object) -> Recipe:
    """Files, each with rows of its own; one whose name ends with `copy` repeats the first."""
    for number, name in enumerate(files):
        rows = pump_rows(200, seed=0 if name.endswith("copy.csv") else number)
        write_csv(folder / name, ["time", "pressure", "flow", "label"], rows)
    return recipe(folder, **{**BY_NAME, **sections})


def allowed(made: Recipe) -> Finding:
    """What is found of the copies that the recipe allows."""
    recording, known = training_rows(made)
    parts = split(recording, known, made, made.window.spec(1000))
    findings = examine(Subject(recording, known, made, parts))
    return next(one for one in findings if one.name == "duplicated-files")


def test_copies_are_refused_with_the_key_that_allows_them(tmp_path: Path) -> None:
    made = written(tmp_path, "ok_1.csv", "ok_copy.csv", "worn_2.csv")
    with pytest.raises(DataError, match="same bytes") as caught:
        training_rows(made)
    assert names(str(caught.value), "ok_copy.csv", 'checks.allow = ["duplicated-files"]')


@pytest.mark.parametrize("copy", ["ok_copy.csv", "worn_copy.csv"])
def test_copies_that_are_allowed_are_read_and_their_labels_compared(
    tmp_path: Path, copy: str
) -> None:
    allow = {"allow": ["duplicated-files", "duplicated-rows"]}
    finding = allowed(written(tmp_path, "ok_1.csv", copy, "worn_2.csv", checks=allow))
    assert finding.overridden
    opposed = f"ok_1.csv line 2 is 'ok' and {copy} line 2 is 'worn', in 200 rows in all"
    assert f"ok_1.csv = {copy}" in finding.evidence
    assert (opposed in finding.evidence) == copy.startswith("worn")


def test_files_of_contradictory_rows_are_named(tmp_path: Path) -> None:
    values, labels = noise(400), rare(400)
    values[100:110] = values[300:310]
    labels[100:110], labels[300:310] = 0, 1
    recording = recorded(values, labels=texts(labels))
    files = ("may.csv", "june.csv", "july.csv")
    recording = replace(recording, files=files, file=np.arange(400) // 150)
    finding = one("contradictory-rows", tmp_path, recording, **RANDOM)
    assert "they are in may.csv (10), july.csv (10)" in finding.evidence
    assert names(finding.evidence, "may.csv line", "is '0'", "july.csv line", "is '1'")
