"""The public data sets, under the protocols of their published tables, through the trainer itself.

    MILLHAND_DATA=/data/public python -m benchmarks.published [--only SET]

Each set is trained by its recipe in tests/realdata/recipes, with the parts that its protocol names;
what is measured are the answers of the bundle's graph in onnxruntime, on rows that the training
never saw.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold

from trainer.commands.train import train
from trainer.console import Console
from trainer.dataset.windows import Windowed, window_rows
from trainer.graph.export import Graph
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe, Regression, read_recipe

RECIPES = Path("tests/realdata/recipes")
SEED = 42
AI4I_TRIALS = 48
RUL_CAP = 125
SKAB_TRAINED, TURBINE_TRAINED, NAB_TRAINED = 400, 22_191, 3404
"""Rows that the protocols train on: of each file, those of 2011 to 2013, and 15 %."""
NAB_SERIES = "realKnownCause/machine_temperature_system_failure.csv"
ROWS_A_WEEK = 7 * 24 * 12


@dataclass(frozen=True)
class Answered:
    """Rows, and what the bundle's graph says of the windows that end with them."""

    recording: Recording
    windows: Windowed
    value: NDArray[Any]

    @property
    def labels(self) -> NDArray[Any]:
        """The truth of every row, as the files have it."""
        (column,) = (*self.recording.texts.values(), *self.recording.numbers.values())
        return column


def answered(
    recipe: Recipe, rows: Callable[[Recording], NDArray[np.bool_]], *, label: str | None = None
) -> Answered:
    """Train by the recipe, and have the graph answer the windows of some of the rows.

    Args:
        recipe: what to train.
        rows: mask of those to answer.
        label: column of the truth, where the protocol keeps it from the training.
    """
    with tempfile.TemporaryDirectory() as folder:
        bundle = train(recipe, Path(folder), console=Console()).bundle
    column = label or recipe.label_column
    labels = [] if column is None else [column]
    is_number = isinstance(recipe.target, Regression)
    recording = load(
        recipe.data,
        recipe.signals,
        texts=[] if is_number else labels,
        numbers=labels if is_number else [],
    )
    chosen = np.flatnonzero(rows(recording))
    windows = window_rows(recording, chosen, bundle.manifest.window, recipe.channels)
    return Answered(recording, windows, Graph(bundle.model).run(windows.values)["value"])


def changed(name: str, **sections: Mapping[str, Any]) -> Recipe:
    """A recipe of the data sets with other keys in some of its sections."""
    recipe = read_recipe(RECIPES / f"{name}.toml")
    content = recipe.model_dump(exclude_unset=True)
    for section, keys in sections.items():
        before = {} if section == "split" else content.get(section, {})
        content[section] = {**before, **keys}
    return Recipe.model_validate(content)


def skab(data: Path) -> Iterator[str]:
    """Trained on the first 400 rows of each of 34 files, whatever they are; all others together."""
    said, true = [], []
    for file in sorted(data.glob("skab/*/*.csv")):
        if file.parent.name == "anomaly-free":
            continue
        recipe = changed("skab", data={"files": [str(file)]}, target={"column": None})
        found = answered(recipe, lambda one: one.rank() >= SKAB_TRAINED, label="anomaly")
        alarm = np.zeros(len(found.recording), dtype=bool)
        alarm[found.windows.rows] = found.value == 1
        tested = found.recording.rank() >= SKAB_TRAINED
        said.append(alarm[tested])
        true.append(found.labels[tested] != "0")
    alarm, abnormal = np.concatenate(said), np.concatenate(true)
    yield f"{len(alarm)} rows, {int(abnormal.sum())} abnormal"
    yield f"F1 {f1_score(abnormal, alarm):.3f}"
    yield f"FAR {alarm[~abnormal].mean():.1%}, MAR {(~alarm[abnormal]).mean():.1%}"


def cmapss(data: Path) -> Iterator[str]:
    """Trained on all 100 engines; RMSE at the last cycle of the 100 others, truth not capped."""
    true = np.loadtxt(data / "cmapss" / "RUL_FD001.txt")
    found = answered(
        changed("cmapss"), lambda one: np.array(one.files)[one.file] == "test_FD001.txt.gz"
    )
    of = found.windows.asset
    ends = [np.flatnonzero(of == asset)[-1] for asset in np.unique(of)]
    engine = [int(found.recording.assets[asset].split("-")[1]) for asset in of[ends]]
    left = true[np.array(engine) - 1]
    yield f"{len(ends)} engines"
    yield f"RMSE {rmse(found.value[ends], left):.2f}"
    yield f"of the truth capped {rmse(found.value[ends], np.minimum(left, RUL_CAP)):.2f}"


def rmse(value: NDArray[Any], truth: NDArray[Any]) -> float:
    """Root of the mean square of what is off."""
    return float(np.sqrt(np.mean((value - truth) ** 2)))


def ai4i(data: Path) -> Iterator[str]:
    """Macro F1 in five stratified folds, each answered by a model of the four others."""
    frame = pd.read_csv(data / "ai4i2020" / "ai4i2020.csv", encoding="utf-8-sig")
    frame = frame.rename(columns=str.strip)
    scores = []
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    for _, tested in folds.split(frame, frame["Machine.failure"]):
        frame["part"] = np.where(np.isin(np.arange(len(frame)), tested), "test", "train")
        with tempfile.TemporaryDirectory() as folder:
            frame.to_csv(Path(folder) / "rows.csv", index=False)
            recipe = changed(
                "ai4i",
                data={"files": [f"{folder}/rows.csv"]},
                split={"method": "predefined", "column": "part", "test": ["test"]},
                search={"trials": AI4I_TRIALS},
            )
            in_test = np.isin(np.arange(len(frame)), tested)
            found = answered(recipe, lambda _one, rows=in_test: rows)  # type: ignore[misc]  # bound now
        truth = (found.labels[found.windows.rows] == "1").astype(int)
        scores.append(f1_score(truth, found.value, average="macro"))
    yield f"macro F1 {np.mean(scores):.3f} +- {np.std(scores):.3f}"


def gas_turbine(_: Path, name: str = "gas_turbine") -> Iterator[str]:
    """Trained on 2011 to 2013, MAE of NOx in 2014 and 2015."""
    found = answered(changed(name), lambda one: one.rank() >= TURBINE_TRAINED)
    off = found.value - found.labels[found.windows.rows].astype(float)
    yield f"MAE {np.abs(off).mean():.2f}, bias {off.mean():+.1f}"


def nab(data: Path) -> Iterator[str]:
    """Trained on the first 15 %: alarms in the labelled windows, and a week outside of them."""
    found = answered(changed("nab"), lambda one: one.rank() >= NAB_TRAINED)
    spans = json.loads((data / "nab" / "combined_windows.json").read_text())[NAB_SERIES]
    at = found.recording.times_ns[found.windows.rows].astype("datetime64[ns]")
    alarm = found.value == 1
    outside = np.ones(len(at), dtype=bool)
    for first, last in spans:
        within = (at >= np.datetime64(first)) & (at <= np.datetime64(last))
        outside &= ~within
        first_alarm = at[within & alarm][:1]
        when = str(first_alarm[0])[:16] if len(first_alarm) else "never"
        yield f"{first[:10]}: " + ("in the training part" if not within.any() else when)
    raised = outside & (np.diff(alarm.astype(int), prepend=0) == 1)
    weeks = np.count_nonzero(outside) / ROWS_A_WEEK
    count = np.count_nonzero(raised)
    yield f"false alarms {count} in {weeks:.1f} weeks, {count / weeks:.1f} a week"
    yield f"an alarm in {alarm[outside].mean():.1%} of the time outside"


SETS: Mapping[str, Callable[[Path], Iterator[str]]] = {
    "skab": skab,
    "cmapss": cmapss,
    "ai4i": ai4i,
    "gas_turbine": gas_turbine,
    "gas_turbine_line": partial(gas_turbine, name="gas_turbine_line"),
    "nab": nab,
}


def main() -> None:
    """Train and measure, set after set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SETS, action="append")
    options = parser.parse_args()
    if "MILLHAND_DATA" not in os.environ:
        parser.error("MILLHAND_DATA must name the folder of the data sets; see docs/data.md")
    data = Path(os.environ["MILLHAND_DATA"])
    for name in options.only or SETS:
        began = monotonic()
        figures = "; ".join(SETS[name](data))
        print(f"{name}: {figures}; {monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
