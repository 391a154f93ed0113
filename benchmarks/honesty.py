"""How often a model of made-up data claims too much.

    python -m benchmarks.honesty [SETS] [--only PART]

In the sets without a signal the target has nothing to do with the signals; a claim is a skill whose
95 % interval lies above 0. In the sets with groups the assets differ in how well a model does, and
an interval covers where the metric over very many assets lies in it. In the sets in time the errors
remember, and an interval covers where the metric over a very long time lies in it. The tables are
in docs/estimators.md.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import tomli_w
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtri
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from models.bundle.manifest import Output, Task
from trainer.dataset.splits import split
from trainer.dataset.subject import Subject
from trainer.dataset.targets import truth
from trainer.estimators.fitting import Model, fit
from trainer.evaluation.baseline import SKILL
from trainer.evaluation.intervals import Units, groups, intervals, units
from trainer.evaluation.metrics import losses, measured, trials, weighted_metrics
from trainer.evaluation.resampling import units_of
from trainer.evaluation.trivial import trivial
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe, read_recipe

SETS = 300
ROWS = 400
ASSETS = 24
NOISE = ("rows", "time", "assets")
"""Without a time axis, drawn at random; wandering in time; assets that differ, held out whole."""
TASKS: tuple[Task, ...] = ("regression", "classification", "anomaly")
COVERED = ("mae", "rmse", "r2", "recall", "f1", "roc_auc")
MANY = 4_000
"""Assets whose metrics are taken for the true ones."""
LONG = 200_000
"""Rows whose metrics are taken for the true ones, each drawn apart from the others."""
REMEMBERED = (0.5, 0.8, 0.95)
"""Correlation of an error with the one before."""
MORE = 5
"""Times as many sets with groups, which take little time."""
HEADER = "| sets | kind | figure | result |\n| --- | --- | --- | ---: |"
_SHARE = 0.3
_REMEMBERS = 0.8


@dataclass(frozen=True, slots=True)
class Claim:
    """What a model of a set without a signal claims: its skill, and whether that is above 0."""

    skill: float
    claimed: bool


def claim(kind: str, task: Task, seed: int) -> Claim:
    """Train the default of a task on one set without a signal."""
    with threadpool_limits(limits=1), tempfile.TemporaryDirectory() as folder:
        recipe = _recipe(Path(folder), kind, task)
    recording = _noise(kind, task, np.random.default_rng(seed))
    known = truth(recording, recipe)
    spec = recipe.window.spec(recording.period_ms())
    subject = Subject(recording, known, recipe, split(recording, known, recipe, spec))
    model = fit(subject.parts.train, known, recipe)
    answers = model.answer(subject.parts.test.values)
    skill = trivial(subject, model, answers).skill
    y = known.y[subject.parts.test.rows]
    drawn = units_of(subject, subject.parts.test, losses(model, answers, y))
    found = intervals(skill, drawn, seed=seed).get(SKILL)
    return Claim(measured(skill, len(y)).get(SKILL, 0.0), found is not None and found[0] > 0)


def coverage(task: Task, assets: int, seed: int) -> dict[str, bool]:
    """Whether the interval of each metric over some assets holds the metric over very many."""
    answers, y, asset = _grouped(task, assets, np.random.default_rng(seed))
    return _held(task, (answers, y), groups(asset, "assets"), _true(task), seed)


def in_time(task: Task, coefficient: float, seed: int) -> dict[str, bool]:
    """Whether the interval of each metric over half of `ROWS` rows holds that over very many."""
    model, count = _model(task), ROWS // 2
    answers, y = _wandering(task, coefficient, count, np.random.default_rng(seed))
    one_asset = np.zeros(count, dtype=np.int64)
    drawn = units(one_asset, losses(model, answers, y), timed=True, whole=False)
    return _held(task, (answers, y), drawn, _true_in_time(task), seed)


def claims(sets: int, spread: Callable[..., Iterator[Claim]] = map) -> Iterator[tuple[str, ...]]:
    """A line for each task and kind of noise, which share the sets of the task."""
    for task in TASKS:
        for kind in NOISE:
            found = list(spread(partial(claim, kind, task), range(sets // len(NOISE))))
            share = np.mean([one.claimed for one in found])
            yield (f"{len(found)} without a signal, {kind}", task, "claim a skill", f"{share:.1%}")


def covered(
    sets: int, spread: Callable[..., Iterator[dict[str, bool]]] = map
) -> Iterator[tuple[str, ...]]:
    """A line for each number of assets and metric: how often the interval holds the truth."""
    for task in TASKS[:2]:
        for assets in (5, 10, 20):
            found = list(spread(partial(coverage, task, assets), range(sets)))
            for figure, share in _shares(found):
                yield (f"{sets} with {assets} test assets", task, figure, share)


def covered_in_time(
    sets: int, spread: Callable[..., Iterator[dict[str, bool]]] = map
) -> Iterator[tuple[str, ...]]:
    """A line for each coefficient and metric: how often the interval holds the truth."""
    for task in TASKS[:2]:
        for coefficient in REMEMBERED:
            found = list(spread(partial(in_time, task, coefficient), range(sets)))
            for figure, share in _shares(found):
                yield (f"{sets} in time, coefficient {coefficient:g}", task, figure, share)


PARTS: Mapping[str, Callable[..., Iterator[tuple[str, ...]]]] = {
    "claims": claims,
    "groups": lambda sets, spread: covered(MORE * sets, spread),
    "time": covered_in_time,
}


def _recipe(folder: Path, kind: str, task: Task) -> Recipe:
    splits = {
        "rows": {"method": "random", "test": 0.5},
        "time": {"method": "time", "test": 0.5},
        "assets": {"method": "group", "test": 0.5},
    }
    data = {
        "files": ["*.csv"],
        **({"time": {"column": "time"}} if kind != "rows" else {}),
        **({"asset_column": "asset"} if kind == "assets" else {}),
    }
    target = {"task": task, "column": "label", **({"normal": "0"} if task == "anomaly" else {})}
    made = {
        "bundle": {"stream": "noise"},
        "data": data,
        "signals": [{"name": name} for name in "abcd"],
        "window": {"length": 1},
        "target": target,
        "split": splits[kind],
    }
    path = folder / "recipe.toml"
    path.write_text(tomli_w.dumps(made))
    return read_recipe(path)


def _noise(kind: str, task: Task, rng: np.random.Generator) -> Recording:
    """Rows whose target has nothing to do with their signals."""
    asset = np.arange(ROWS) % ASSETS if kind == "assets" else np.zeros(ROWS, dtype=np.int64)
    columns = rng.normal(size=(ROWS, 5))
    if kind == "time":
        for row in range(1, ROWS):
            columns[row] += _REMEMBERS * columns[row - 1]
    if kind == "assets":
        columns += rng.normal(size=(ASSETS, 5))[asset]
    number = columns[:, 4]
    label = (number > np.quantile(number, 1 - _SHARE)).astype(int).astype(str).astype(object)
    found = {"numbers": {"label": number}} if task == "regression" else {"texts": {"label": label}}
    return Recording(
        channels=tuple("abcd"),
        assets=tuple(f"p{index}" for index in range(int(asset.max()) + 1)),
        asset=asset,
        times_ns=np.arange(ROWS) * (1 if kind == "rows" else 10**9),
        timed=kind != "rows",
        values=columns[:, :4],
        files=("noise.csv",),
        file=np.zeros(ROWS, dtype=np.int64),
        line=np.arange(ROWS) + 2,
        **found,
    )


def _model(task: Task) -> Model:
    classes = () if task == "regression" else ("healthy", "worn")
    dtype = "float32" if task == "regression" else "int64"
    value = Output(name="value", dtype=dtype, meaning="", classes=classes)
    return Model(task, Pipeline([("none", "passthrough")]), (value,))


def _grouped(
    task: Task, assets: int, rng: np.random.Generator
) -> tuple[dict[str, NDArray[np.generic]], NDArray[np.generic], NDArray[np.int64]]:
    """Answers, truth and asset of windows, whose errors the windows of an asset share in part."""
    asset = np.repeat(np.arange(assets), rng.integers(20, 60, assets))
    shared = rng.normal(size=assets)[asset]
    own = rng.normal(size=len(asset))
    if task == "regression":
        y = rng.normal(size=len(asset)) * 3
        return {"value": (y + 0.6 * shared + own).astype(np.float32)}, y, asset
    y = (rng.random(len(asset)) < _SHARE).astype(np.int64)
    score = (2 * y - 1 + 0.6 * shared + own).astype(np.float32)
    return {"value": (score > 0).astype(np.int64), "score": score}, y, asset


def _wandering(
    task: Task, coefficient: float, count: int, rng: np.random.Generator
) -> tuple[dict[str, NDArray[np.generic]], NDArray[np.generic]]:
    """Answers and truth of rows in time, whose levels and errors remember those before."""
    begun = 100
    drawn = rng.normal(size=(count + begun, 2)) * np.sqrt(1 - coefficient**2)
    level, error = lfilter([1.0], [1.0, -coefficient], drawn, axis=0)[begun:].T
    if task == "regression":
        return {"value": (3 * level + error).astype(np.float32)}, 3 * level
    y = (level > ndtri(1 - _SHARE)).astype(np.int64)
    score = (2 * y - 1 + error).astype(np.float32)
    return {"value": (score > 0).astype(np.int64), "score": score}, y


def _held(
    task: Task,
    tested: tuple[dict[str, NDArray[np.generic]], NDArray[np.generic]],
    drawn: Units,
    true: Mapping[str, float],
    seed: int,
) -> dict[str, bool]:
    """Whether the interval of each metric, of answers and truth, holds its true value."""
    model, (answers, y) = _model(task), tested
    found = intervals(
        weighted_metrics(model, answers, y), drawn, trials=trials(model, y), seed=seed
    )
    shown = [name for name in COVERED if name in found and name in true]
    return {name: found[name][0] <= true[name] <= found[name][1] for name in shown}


def _shares(found: list[dict[str, bool]]) -> Iterator[tuple[str, str]]:
    """How often each metric was covered, of the sets where it has an interval."""
    for name in COVERED:
        held = [one[name] for one in found if name in one]
        if held:
            yield f"{name} covered", f"{np.mean(held):.1%}"


@cache
def _true(task: Task) -> dict[str, float]:
    answers, y, _ = _grouped(task, MANY, np.random.default_rng(2**32))
    return measured(weighted_metrics(_model(task), answers, y), len(y))


@cache
def _true_in_time(task: Task) -> dict[str, float]:
    answers, y = _wandering(task, 0.0, LONG, np.random.default_rng(2**32))
    return measured(weighted_metrics(_model(task), answers, y), len(y))


def main() -> None:
    """Print the tables of all parts, or of one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.honesty", description=__doc__)
    parser.add_argument("sets", type=int, nargs="?", default=SETS, help=f"default: {SETS}")
    parser.add_argument("--only", choices=PARTS, help="one part")
    options = parser.parse_args()
    print(HEADER, flush=True)
    with ProcessPoolExecutor(2) as pool:
        spread = partial(pool.map, chunksize=10)
        for name in [options.only] if options.only else PARTS:
            for line in PARTS[name](options.sets, spread):
                print(f"| {' | '.join(line)} |", flush=True)


if __name__ == "__main__":
    main()
