"""Public recordings as plants whose model is changed: rows to replay, and bundles for a rollout.

The first bundle is trained on a part of the recording. The candidate is the same model again, one
that is trained on other rows, or one that takes a signal to be in another unit than the plant
sends, as after a mistake in a recipe. What is replayed was trained on by nobody.
"""

import gzip
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import tomli_w
from numpy.typing import NDArray

from models.bundle.package import Bundle
from tests.kit.bundles.altered import numbered, scaled
from tests.kit.pictures import empty_pictures
from tests.realdata.line import RECIPES, cut, trained

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
SKAB_MAX_GAP_MS = 60_000
START_MS: Final = 1_440_000_000_000
"""When a recording begins that has no clock of its own: with a block of time, and so long ago that
a hundred engines, one after the other, end before today; an agent takes none of the future."""
AI4I = [
    "Type",
    "Air_temperature",
    "Process_temperature ",
    "Rotational_speed",
    "Torque ",
    "Tool_wear",
]
SKAB = ["Accelerometer1RMS", "Accelerometer2RMS", "Current", "Pressure", "Voltage"]
CMAPSS_COLUMNS = (
    "engine cycle altitude mach tra T2 T24 T30 T50 P2 P15 P30 Nf Nc epr Ps30 phi NRf NRc BPR farB "
    "htBleed Nf_dmd PCNfR_dmd W31 W32"
)

Kind = Literal["identical", "retrained", "damaged"]
KINDS: Final[tuple[Kind, ...]] = ("identical", "retrained", "damaged")
Rows = tuple[int, int]
Windows = NDArray[np.float32]
Recipe = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Run:
    """Rows of one asset, in order and without a pause that ends a window.

    Attributes:
        asset: name of the asset.
        at_ms: time of each row, milliseconds since 1970, `[rows]`.
        values: float32 `[rows, channels]`.
    """

    asset: str
    at_ms: NDArray[np.int64]
    values: NDArray[np.float32]


@dataclass(frozen=True)
class Plant:
    """A recording: what it trains, what it replays, and how long it remembers.

    Attributes:
        train: trains a model on some of its rows, or engines.
        runs: what is replayed, one asset after the other.
        length: rows of a window.
        parts: rows, or engines, of champion and retrained candidate.
        block_s: seconds of a block.
        signal: index of the signal that a damaged model takes to be in another unit.
        unit: factor and summand that turn the signal into that unit.
    """

    train: Callable[[Path, Path, Rows], Bundle]
    runs: Callable[[Path], Iterator[Run]]
    length: int
    parts: tuple[Rows, Rows]
    block_s: float
    signal: int
    unit: tuple[float, float]

    def champion(self, data: Path) -> Bundle:
        """The bundle that serves."""
        return _trained_once(self, data, self.parts[0])

    def candidate(self, data: Path, kind: Kind) -> Bundle:
        """The bundle that is to replace it, with the next number."""
        if kind == "retrained":
            return numbered(_trained_once(self, data, self.parts[1]), 2)
        if kind == "damaged":
            return scaled(self.champion(data), 2, self.signal, *self.unit)
        return numbered(self.champion(data), 2)

    def windows(self, data: Path) -> tuple[Windows, NDArray[np.int64]]:
        """Windows float32 `[n, length, channels]` in the order in which they end, and when."""
        runs = list(self.runs(data))
        ends = [one.at_ms[self.length - 1 :] for one in runs]
        cuts = [cut(pd.DataFrame(one.values), self.length) for one in runs]
        return np.concatenate(cuts), np.concatenate(ends)


def _bundle_of(
    name: str, lines: list[str], folder: Path, change: Callable[[Recipe], object]
) -> Bundle:
    """Train one of `RECIPES` on other lines, with changes."""
    recipe = tomllib.loads((RECIPES / f"{name}.toml").read_text())
    suffix = ".txt" if name == "cmapss" else ".csv"
    file = folder / f"rows{suffix}"
    file.write_text("\n".join(lines) + "\n")
    recipe["data"]["files"] = [str(file)]
    recipe["split"] = {"method": "time", "test": 0.2}
    change(recipe)
    path = folder / "recipe.toml"
    path.write_text(tomli_w.dumps(recipe))
    return trained(path, folder / "out")


def _rows_of(file: Path, rows: Rows) -> list[str]:
    head, *lines = file.read_text(encoding="utf-8-sig").splitlines()
    return [head, *lines[slice(*rows)]]


def _ai4i(data: Path, folder: Path, rows: Rows) -> Bundle:
    lines = _rows_of(data / "ai4i2020/ai4i2020.csv", rows)
    split = {"method": "stratified", "test": 0.2}
    return _bundle_of("ai4i", lines, folder, lambda recipe: recipe.update(split=split))


def _ai4i_runs(data: Path) -> Iterator[Run]:
    """A workpiece a minute."""
    read = pd.read_csv(data / "ai4i2020/ai4i2020.csv", encoding="utf-8-sig")[AI4I]
    read["Type"] = read["Type"].map({"L": 0, "M": 1, "H": 2})
    values = read.iloc[5000:].to_numpy(np.float32)
    yield Run("mill", START_MS + np.arange(len(values)) * MINUTE_MS, values)


def _nab(data: Path, folder: Path, rows: Rows) -> Bundle:
    lines = _rows_of(data / "nab/machine_temperature_system_failure.csv", rows)
    return _bundle_of("nab", lines, folder, lambda recipe: recipe)


def _nab_runs(data: Path) -> Iterator[Run]:
    """The clock was set back by an hour once; these rows are sorted in."""
    read = pd.read_csv(data / "nab/machine_temperature_system_failure.csv").iloc[4500:]
    read = read.sort_values("timestamp", kind="stable")
    yield Run("machine", _milliseconds(read["timestamp"]), read[["value"]].to_numpy(np.float32))


def _skab(data: Path, folder: Path, rows: Rows) -> Bundle:
    def change(recipe: Recipe) -> None:
        recipe["target"] = {"task": "anomaly"}

    lines = _rows_of(data / "skab/anomaly-free/anomaly-free.csv", rows)
    return _bundle_of("skab", lines, folder, change)


def _skab_runs(data: Path) -> Iterator[Run]:
    """All experiments with faults, in order of time."""
    files = [
        file for place in ("valve1", "valve2", "other") for file in data.glob(f"skab/{place}/*")
    ]
    read = {f"{file.parent.name}-{file.stem}": pd.read_csv(file, sep=";") for file in files}
    for name, rows in sorted(read.items(), key=lambda one: str(one[1]["datetime"][0])):
        values = rows[[*SKAB, "Volume Flow RateRMS"]].to_numpy(np.float32)
        at_ms = _milliseconds(rows["datetime"])
        pauses = np.flatnonzero(np.diff(at_ms) > SKAB_MAX_GAP_MS) + 1
        for part in np.split(np.arange(len(at_ms)), pauses):
            yield Run(name, at_ms[part], values[part])


def _cmapss(data: Path, folder: Path, engines: Rows) -> Bundle:
    with gzip.open(data / "cmapss/train_FD001.txt.gz", "rt") as file:
        lines = file.read().splitlines()
    kept = [line for line in lines if engines[0] <= int(line.split()[0]) <= engines[1]]

    def change(recipe: Recipe) -> None:
        del recipe["target"]["left"]
        recipe["split"] = {"method": "group", "test": 0.25}
        recipe["search"] = {"trials": 1, "candidates": ["linear"]}

    return _bundle_of("cmapss", kept, folder, change)


def _cmapss_runs(data: Path) -> Iterator[Run]:
    """One engine after the other, each in a block of its own: a cycle is an hour."""
    read = pd.read_csv(data / "cmapss/test_FD001.txt.gz", sep=r"\s+", names=CMAPSS_COLUMNS.split())
    recipe = tomllib.loads((RECIPES / "cmapss.toml").read_text())
    names = [signal["name"] for signal in recipe["signals"]]
    for number, (engine, rows) in enumerate(read.groupby("engine")):
        at_ms = START_MS + (400 * number + np.arange(len(rows))) * HOUR_MS
        yield Run(f"engine-{engine}", at_ms, rows[names].to_numpy(np.float32))


def _milliseconds(times: "pd.Series[str]") -> NDArray[np.int64]:
    read = pd.to_datetime(times, utc=True) - pd.Timestamp(0, tz="UTC")
    return np.asarray(read // pd.Timedelta("1ms"), dtype=np.int64)


PLANTS: Final[Mapping[str, Plant]] = {
    "ai4i": Plant(_ai4i, _ai4i_runs, 1, ((0, 4000), (1000, 5000)), 900, 4, (1.356, 0)),
    "nab": Plant(_nab, _nab_runs, 72, ((0, 3404), (500, 4500)), 50_000, 0, (1 / 1.8, -32 / 1.8)),
    "skab": Plant(_skab, _skab_runs, 30, ((0, 6000), (3000, 9400)), 130, 5, (1 / 60, 0)),
    "cmapss": Plant(_cmapss, _cmapss_runs, 30, ((1, 60), (41, 100)), 1_440_000, 3, (1 / 1.8, 0)),
}


@cache
def _trained_once(plant: Plant, data: Path, rows: Rows) -> Bundle:
    with TemporaryDirectory() as folder, empty_pictures():
        return plant.train(data, Path(folder), rows)
