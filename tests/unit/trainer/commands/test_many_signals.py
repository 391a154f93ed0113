"""A training part that is just large enough for relations of its signals ends in a bundle."""

from pathlib import Path

import numpy as np
import pytest

from models.bundle.package import read_bundle
from models.bundle.reference import read_document
from tests.kit.recordings import write_csv, write_recipe
from trainer.__main__ import main

pytestmark = pytest.mark.usefixtures("without_pictures")

SIGNALS = [f"s{number}" for number in range(20)]


def test_limits_of_drift_need_enough_rows_in_each_fold(tmp_path: Path) -> None:
    """450 rows suffice for regressions of 20 signals on each other, and a part of them does not."""
    values = np.random.default_rng(1).normal(size=(600, 20))
    rows = [(*row, 3 * row[0] - row[1]) for row in values.round(4).tolist()]
    write_csv(tmp_path / "pump.csv", [*SIGNALS, "y"], rows)
    recipe = write_recipe(
        tmp_path,
        data={"time": None},
        signals=[{"name": name} for name in SIGNALS],
        window={"length": 1},
        target={"task": "regression", "column": "y"},
        split={"method": "random", "test": 0.25},
    )
    assert main(["train", str(recipe), "--out", str(tmp_path / "out")]) == 0
    bundle = read_bundle((tmp_path / "out" / "pump-health-1.zip").read_bytes())
    document = read_document(bundle.reference, bundle.manifest.channels)
    assert document is not None
    assert document.drift is not None
    assert all(signal.relation is None for signal in document.signals.values())
