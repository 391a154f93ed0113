"""Recipes that `millhand-trainer draft` writes, beside those that a person wrote.

    MILLHAND_DATA=/data/public python -m benchmarks.drafted [--only SET] [--seconds N]

Of each public dataset a draft is made, with target, task and split given, and trained as it is. The
protocols are those of `benchmarks.published`, with the default model in both columns. To be done in
minutes, AI4I takes two of the five folds, and SKAB eight of the 34 files. No set is begun after
`--seconds`; those that were not run are named.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold

from benchmarks.published import (
    NAB_SERIES,
    NAB_TRAINED,
    ROWS_A_WEEK,
    SEED,
    SKAB_TRAINED,
    TURBINE_TRAINED,
    answered,
    changed,
    rmse,
)
from trainer.commands.draft import draft
from trainer.console import Console
from trainer.draft.recipe_text import recipe_text
from trainer.draft.trial import recipe_of
from trainer.draft.wishes import Wishes
from trainer.recipe.document import Recipe

FOLDS, SKAB_FILES = 2, 8
WORST = 1.05
"""How many times as bad as the recipe of a person a draft may be."""


@dataclass(frozen=True)
class Compared:
    """A figure by the recipe of a person, and by a draft.

    Attributes:
        metric: what is measured.
        person: the figure by the recipe in tests/realdata/recipes.
        drafted: the figure by the draft.
        is_score: whether more is better.
    """

    metric: str
    person: float
    drafted: float
    is_score: bool

    @property
    def ratio(self) -> float:
        """How many times as bad the draft is; below 1 it is better."""
        if self.is_score:
            return self.person / max(self.drafted, 1e-9)
        return self.drafted / max(self.person, 1e-9)


def drafted(files: Sequence[Path], wishes: Wishes, **sections: Mapping[str, Any]) -> Recipe:
    """The recipe that is drafted for files, with other keys in some of its sections."""
    folder = files[0].parent
    found = draft([path.absolute() for path in files], wishes, folder, Console())
    content = recipe_of(recipe_text(found.proposal), folder).model_dump(exclude_unset=True)
    for section, keys in sections.items():
        before = {} if section == "split" else content.get(section, {})
        content[section] = {**before, **keys}
    return Recipe.model_validate(content)


def ai4i(data: Path) -> Compared:
    """AI4I 2020: macro F1 in the first stratified folds."""
    file = data / "ai4i2020" / "ai4i2020.csv"
    frame = pd.read_csv(file, encoding="utf-8-sig").rename(columns=str.strip)
    scores: dict[str, list[float]] = {"person": [], "drafted": []}
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    made = drafted([file], Wishes(target="Machine.failure", task="classification"))
    for number, (_, tested) in enumerate(folds.split(frame, frame["Machine.failure"])):
        if number == FOLDS:
            break
        in_test = np.isin(np.arange(len(frame)), tested)
        frame["part"] = np.where(in_test, "test", "train")
        with tempfile.TemporaryDirectory() as folder:
            frame.to_csv(Path(folder) / "rows.csv", index=False)
            part: dict[str, dict[str, Any]] = {
                "data": {"files": [f"{folder}/rows.csv"]},
                "split": {"method": "predefined", "column": "part", "test": ["test"]},
            }
            for who, recipe in (("person", changed("ai4i", **part)), ("drafted", made)):
                own = Recipe.model_validate(_with(recipe, part))
                scores[who].append(_macro_f1(own, in_test))
    person, by_draft = (float(np.mean(one)) for one in scores.values())
    return Compared("macro F1", person, by_draft, is_score=True)


def _with(recipe: Recipe, sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    content = recipe.model_dump(exclude_unset=True)
    content["data"] = {**content["data"], **sections["data"]}
    return {**content, "split": dict(sections["split"])}


def _macro_f1(recipe: Recipe, in_test: NDArray[np.bool_]) -> float:
    found = answered(recipe, lambda _: in_test)
    truth = (found.labels[found.windows.rows] == "1").astype(int)
    return float(f1_score(truth, found.value, average="macro"))


def gas_turbine(data: Path) -> Compared:
    """Gas turbine: MAE of NOx in 2014 and 2015, trained on the years before."""
    files = sorted((data / "gas_turbine").glob("gt_*.csv"))
    made = drafted(files, Wishes("NOX", "regression", train_rows=TURBINE_TRAINED))
    errors = []
    for recipe in (changed("gas_turbine"), made):
        found = answered(recipe, lambda one: one.rank() >= TURBINE_TRAINED)
        off = found.value - found.labels[found.windows.rows].astype(float)
        errors.append(float(np.abs(off).mean()))
    return Compared("MAE, mg/m3", errors[0], errors[1], is_score=False)


def cmapss(data: Path) -> Compared:
    """C-MAPSS FD001: RMSE of the remaining life at the last cycle of 100 engines, not capped."""
    folder, tested = data / "cmapss", "test_FD001.txt.gz"
    left = {tested: "RUL_FD001.txt"}
    wishes = Wishes(task="remaining-life", test_files=(tested,), left=left)
    made = drafted([folder / "train_FD001.txt.gz", folder / tested], wishes)
    true, errors = np.loadtxt(folder / "RUL_FD001.txt"), []
    for recipe in (changed("cmapss"), made):
        found = answered(recipe, lambda one: np.array(one.files)[one.file] == tested)
        of = found.windows.asset
        ends = [np.flatnonzero(of == asset)[-1] for asset in np.unique(of)]
        engine = [int(found.recording.assets[asset].split("-")[1]) for asset in of[ends]]
        errors.append(rmse(found.value[ends], true[np.array(engine) - 1]))
    return Compared("RMSE, cycles", errors[0], errors[1], is_score=False)


def skab(data: Path) -> Compared:
    """SKAB: F1 on all but the first 400 rows of the first files."""
    files = [f for f in sorted(data.glob("skab/*/*.csv")) if f.parent.name != "anomaly-free"]
    wishes = Wishes("anomaly", "anomaly", train_rows=SKAB_TRAINED)
    scores = []
    for is_draft in (False, True):
        alarms, true = [], []
        for file in files[:: len(files) // SKAB_FILES][:SKAB_FILES]:
            target = {"task": "anomaly", "column": None}
            by_person = changed("skab", data={"files": [str(file)]}, target=target)
            recipe = drafted([file], wishes, target=target) if is_draft else by_person
            found = answered(recipe, lambda one: one.rank() >= SKAB_TRAINED, label="anomaly")
            alarm = np.zeros(len(found.recording), dtype=bool)
            alarm[found.windows.rows] = found.value == 1
            tested = found.recording.rank() >= SKAB_TRAINED
            alarms.append(alarm[tested])
            true.append(found.labels[tested] != "0")
        scores.append(float(f1_score(np.concatenate(true), np.concatenate(alarms))))
    return Compared("F1", scores[0], scores[1], is_score=True)


def nab(data: Path) -> Compared:
    """NAB machine temperature: labelled windows with an alarm, less false alarms a week."""
    made = drafted(
        [data / "nab" / "machine_temperature_system_failure.csv"],
        Wishes(task="anomaly", train_rows=NAB_TRAINED),
    )
    spans = json.loads((data / "nab" / "combined_windows.json").read_text())[NAB_SERIES]
    scores = []
    for recipe in (changed("nab"), made):
        found = answered(recipe, lambda one: one.rank() >= NAB_TRAINED, label="value")
        at = found.recording.times_ns[found.windows.rows].astype("datetime64[ns]")
        alarm, outside, hits = found.value == 1, np.ones(len(at), dtype=bool), 0
        for first, last in spans:
            within = (at >= np.datetime64(first)) & (at <= np.datetime64(last))
            outside &= ~within
            hits += int(alarm[within].any())
        raised = outside & (np.diff(alarm.astype(int), prepend=0) == 1)
        scores.append(hits - float(raised.sum()) / (outside.sum() / ROWS_A_WEEK))
    return Compared("windows found less false alarms a week", scores[0], scores[1], is_score=True)


SETS: Mapping[str, Callable[[Path], Compared]] = {
    "skab": skab,
    "ai4i": ai4i,
    "nab": nab,
    "cmapss": cmapss,
    "gas_turbine": gas_turbine,
}


def main() -> None:
    """Draft, train and measure one dataset after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drafted", description=__doc__)
    parser.add_argument(
        "--only", choices=SETS, action="append", help="one dataset, may be repeated"
    )
    parser.add_argument("--seconds", type=float, default=600, help="no set is begun after this")
    options = parser.parse_args()
    if "MILLHAND_DATA" not in os.environ:
        parser.error("MILLHAND_DATA must name the folder of the datasets; see docs/data.md")
    data, began, left = Path(os.environ["MILLHAND_DATA"]), monotonic(), []
    print("| data set | figure | recipe of a person | draft | as bad as | s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in options.only or SETS:
        if monotonic() - began > options.seconds:
            left.append(name)
            continue
        start = monotonic()
        found = SETS[name](data)
        verdict = f"{found.ratio:.3f}" + ("" if found.ratio <= WORST else " (more than 1.05)")
        print(
            f"| {name} | {found.metric} | {found.person:.3f} | {found.drafted:.3f} | {verdict} "
            f"| {monotonic() - start:.0f} |",
            flush=True,
        )
    if left:
        print(f"not run, because the time was over: {', '.join(left)}")


if __name__ == "__main__":
    main()
