"""Long files are looked at from their beginning only, and the draft says so."""

import gzip
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trainer.__main__ import main
from trainer.draft.excerpt import excerpts
from trainer.draft.proposal import propose
from trainer.draft.recipe_text import recipe_text
from trainer.draft.trial import tried
from trainer.draft.wishes import Wishes

ROWS = 2000


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    flow = rng.normal(50, 5, ROWS)
    return pd.DataFrame(
        {
            "time": pd.date_range("2026-01-01", periods=ROWS, freq="min"),
            "flow": flow.round(3),
            "level": rng.normal(2, 0.1, ROWS).round(4),
            "y": (2 * flow + rng.normal(0, 1, ROWS)).round(3),
        }
    )


@pytest.mark.parametrize("name", ["long.csv", "long.csv.gz"])
def test_draft_of_a_long_file_says_that_it_saw_the_beginning(tmp_path: Path, name: str) -> None:
    text = frame().to_csv(index=False).encode()
    file = tmp_path / name
    file.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    with excerpts([file], max_bytes=len(text) // 2) as begun:
        assert begun.cut == (file,)
        found = tried(propose([file], begun, Wishes("y"), tmp_path), begun, tmp_path)
    assert 0.4 * ROWS < len(found.recording) < 0.6 * ROWS
    written = recipe_text(found.proposal)
    assert "the beginning of 1 of them only" in written
    assert tomllib.loads(written)["data"]["files"] == [name]


def test_short_files_are_looked_at_where_they_are(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "short.csv", index=False)
    with excerpts([tmp_path / "short.csv"]) as begun:
        assert begun.cut == ()
        assert begun.paths[tmp_path / "short.csv"] == tmp_path / "short.csv"


def test_parquet_is_drafted_as_csv_is(tmp_path: Path) -> None:
    rows = frame()
    rows.to_parquet(tmp_path / "rows.parquet")
    rows.to_csv(tmp_path / "rows.csv", index=False)
    found = []
    for name in ("rows.parquet", "rows.csv"):
        output = tmp_path / f"{name}.toml"
        assert main(["draft", str(tmp_path / name), "--target", "y", "--output", str(output)]) == 0
        found.append(tomllib.loads(output.read_text()))
    assert found[0]["signals"] == found[1]["signals"]
    assert found[0]["target"] == found[1]["target"]
    assert found[0]["data"]["time"] == found[1]["data"]["time"]
