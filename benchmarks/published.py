"""The trainer on public datasets, under the protocols of the published results.

    MILLHAND_DATA=/data/public python -m benchmarks.published [--only SET]

Each dataset is trained by its recipe in tests/realdata/recipes, on the rows that its protocol
names. Measured are the outputs of the bundle's graph in onnxruntime, on rows that were not trained
on.
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
"""Number of rows to train on: 400 of each SKAB file, 2011 to 2013 of the turbine, 15 % of NAB."""
NAB_SERIES = "realKnownCause/machine_temperature_system_failure.csv"
ROWS_A_WEEK = 7 * 24 * 12


@dataclass(frozen=True)
class Answered:
    """Rows of a recording, and the value of the graph for the windows that end with them."""

    recording: Recording
    windows: Windowed
    value: NDArray[Any]

    @property
    def labels(self) -> NDArray[Any]:
        """The label of every row, as the files have it."""
        (column,) = (*self.recording.texts.values(), *self.recording.numbers.values())
        return column


def answered(
    recipe: Recipe, rows: Callable[[Recording], NDArray[np.bool_]], *, label: str | None = None
) -> Answered:
    """Train by a recipe, and run the graph on the windows of some of the rows.

    Args:
        recipe: the recipe.
        rows: function that returns a mask of the rows to answer.
        label: column of the labels, where the protocol does not use them for the training.
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
    """The recipe of a dataset, with other keys in some of its sections."""
    recipe = read_recipe(RECIPES / f"{name}.toml")
    content = recipe.model_dump(exclude_unset=True)
    for section, keys in sections.items():
        before = {} if section == "split" else content.get(section, {})
        content[section] = {**before, **keys}
    return Recipe.model_validate(content)


def skab(data: Path) -> Iterator[str]:
    """SKAB: trained on the first 400 rows of each of 34 files, measured on all other rows."""
    alarms, true = [], []
    for file in sorted(data.glob("skab/*/*.csv")):
        if file.parent.name == "anomaly-free":
            continue
        recipe = changed("skab", data={"files": [str(file)]}, target={"column": None})
        found = answered(recipe, lambda one: one.rank() >= SKAB_TRAINED, label="anomaly")
        alarm = np.zeros(len(found.recording), dtype=bool)
        alarm[found.windows.rows] = found.value == 1
        tested = found.recording.rank() >= SKAB_TRAINED
        alarms.append(alarm[tested])
        true.append(found.labels[tested] != "0")
    alarm, abnormal = np.concatenate(alarms), np.concatenate(true)
    yield f"{len(alarm)} rows, {int(abnormal.sum())} abnormal"
    yield f"F1 {f1_score(abnormal, alarm):.3f}"
    yield f"FAR {alarm[~abnormal].mean():.1%}, MAR {(~alarm[abnormal]).mean():.1%}"


def cmapss(data: Path) -> Iterator[str]:
    """C-MAPSS FD001: trained on 100 engines; RMSE of the RUL at the last cycle of 100 others."""
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
    """The root of the mean square error."""
    return float(np.sqrt(np.mean((value - truth) ** 2)))


def ai4i(data: Path) -> Iterator[str]:
    """AI4I 2020: macro F1 in five stratified folds, each with a model of the four others."""
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
            found = answered(recipe, lambda _one, rows=in_test: rows)  # type: ignore[misc]  # the default binds the mask of this fold
        truth = (found.labels[found.windows.rows] == "1").astype(int)
        scores.append(f1_score(truth, found.value, average="macro"))
    yield f"macro F1 {np.mean(scores):.3f} +- {np.std(scores):.3f}"


def gas_turbine(_: Path, name: str = "gas_turbine") -> Iterator[str]:
    """Gas turbine: trained on 2011 to 2013; MAE of NOx in 2014 and 2015."""
    found = answered(changed(name), lambda one: one.rank() >= TURBINE_TRAINED)
    off = found.value - found.labels[found.windows.rows].astype(float)
    yield f"MAE {np.abs(off).mean():.2f}, bias {off.mean():+.1f}"


def nab(data: Path) -> Iterator[str]:
    """NAB machine temperature: trained on the first 15 %; alarms in and outside of the labels."""
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
    """Train and measure one dataset after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published", description=__doc__)
    parser.add_argument(
        "--only", choices=SETS, action="append", help="one dataset; the option may be repeated"
    )
    options = parser.parse_args()
    if "MILLHAND_DATA" not in os.environ:
        parser.error("MILLHAND_DATA must name the folder of the datasets; see docs/data.md")
    data = Path(os.environ["MILLHAND_DATA"])
    for name in options.only or SETS:
        began = monotonic()
        figures = "; ".join(SETS[name](data))
        print(f"{name}: {figures}; {monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
