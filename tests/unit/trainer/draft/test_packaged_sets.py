"""Sets that scikit-learn packages, written as CSV: drafted and trained without a change."""

import tomllib
from contextlib import nullcontext
from pathlib import Path

import pytest
from sklearn import datasets

from models.bundle.package import read_bundle
from tests.kit.pictures import empty_pictures
from trainer.__main__ import main


@pytest.mark.parametrize(
    ("name", "task", "metric", "least"),
    [
        pytest.param("diabetes", "regression", "r2", 0.3, id="diabetes"),
        pytest.param("breast_cancer", "classification", "macro_f1", 0.9, id="breast cancer"),
        pytest.param("wine", "classification", "macro_f1", 0.9, id="wine"),
        pytest.param("iris", "classification", "macro_f1", 0.85, id="iris"),
    ],
)
def test_draft_of_a_packaged_set_is_trained_unedited(
    tmp_path: Path, name: str, task: str, metric: str, least: float
) -> None:
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    frame.to_csv(tmp_path / f"{name}.csv", index=False)
    output = tmp_path / "recipe.toml"
    words = ["draft", str(tmp_path / f"{name}.csv"), "--target", "target"]
    # The set with the most signals, 30, shows that all of them can be drawn.
    with nullcontext() if name == "breast_cancer" else empty_pictures():
        assert main([*words, "--output", str(output)]) == 0
        recipe = tomllib.loads(output.read_text())
        assert recipe["target"]["task"] == task
        assert len(recipe["signals"]) == frame.shape[1] - 1
        assert main(["train", str(output), "--out", str(tmp_path / "out")]) == 0
    (bundle,) = (tmp_path / "out").glob("*.zip")
    assert read_bundle(bundle.read_bytes()).manifest.metrics.values[metric] >= least
