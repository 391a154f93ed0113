"""Gates of a rollout on public recordings: identical, retrained and damaged candidates.

The part of a recording that nobody was trained on is replayed through two models, offline, and
their answers go to the gates as a gateway's would. A damaged model takes one signal to be in
another unit than the plant sends, as after a mistake in a recipe. A block is as long as the longer
correlation time of both bundles, or as the bound of it where there is no more.
"""

import gzip
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tomli_w
from numpy.typing import NDArray

from models.bundle.package import Bundle
from models.bundle.reference import read_document
from models.input.quality import Quality
from serving.gates.evidence import Limits
from serving.gates.hard import HardGates, HardLimits
from serving.gates.pair import Pair
from serving.gates.profile import Profile
from serving.gates.storm import LEAST_WINDOWS, StormLimits
from tests.kit.pictures import empty_pictures
from tests.realdata.line import RECIPES, cut, offline, trained

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
BATCH = 64
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

pytestmark = pytest.mark.usefixtures("data")

Rows = tuple[int, int]
Windows = NDArray[np.float32]
Recipe = dict[str, Any]


@dataclass(frozen=True)
class Plant:
    """A recording: what it trains, what it replays, and how long it remembers.

    Attributes:
        train: trains a model on some of its rows, or engines.
        replay: windows float32 `[n, length, channels]`, and their times in milliseconds, `[n]`.
        parts: rows, or engines, of champion and retrained candidate.
        block_s: seconds of a block.
        hop_s: seconds from one window to the next.
        signal: the signal that a damaged model takes to be in another unit.
        unit: what turns the signal into that unit.
    """

    train: Callable[[Path, Path, Rows], Bundle]
    replay: Callable[[Path], tuple[Windows, NDArray[np.int64]]]
    parts: tuple[Rows, Rows]
    block_s: float
    hop_s: float
    signal: int
    unit: Callable[[Windows], NDArray[np.floating[Any]]]


def bundle_of(
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


def rows_of(file: Path, rows: Rows) -> list[str]:
    head, *lines = file.read_text(encoding="utf-8-sig").splitlines()
    return [head, *lines[slice(*rows)]]


def ai4i(data: Path, folder: Path, rows: Rows) -> Bundle:
    lines = rows_of(data / "ai4i2020/ai4i2020.csv", rows)
    split = {"method": "stratified", "test": 0.2}
    return bundle_of("ai4i", lines, folder, lambda recipe: recipe.update(split=split))


def ai4i_replay(data: Path) -> tuple[Windows, NDArray[np.int64]]:
    """A workpiece a minute."""
    read = pd.read_csv(data / "ai4i2020/ai4i2020.csv", encoding="utf-8-sig")[AI4I]
    read["Type"] = read["Type"].map({"L": 0, "M": 1, "H": 2})
    windows = cut(read.iloc[5000:], 1)
    return windows, np.arange(len(windows)) * MINUTE_MS


def nab(data: Path, folder: Path, rows: Rows) -> Bundle:
    lines = rows_of(data / "nab/machine_temperature_system_failure.csv", rows)
    return bundle_of("nab", lines, folder, lambda recipe: recipe)


def nab_replay(data: Path) -> tuple[Windows, NDArray[np.int64]]:
    read = pd.read_csv(data / "nab/machine_temperature_system_failure.csv").iloc[4500:]
    windows = cut(read[["value"]], 72)
    return windows, milliseconds(read["timestamp"])[71:]


def skab(data: Path, folder: Path, rows: Rows) -> Bundle:
    def change(recipe: Recipe) -> None:
        recipe["target"] = {"task": "anomaly"}

    return bundle_of(
        "skab", rows_of(data / "skab/anomaly-free/anomaly-free.csv", rows), folder, change
    )


def skab_replay(data: Path) -> tuple[Windows, NDArray[np.int64]]:
    """All experiments with faults, in order of time."""
    files = [
        file for place in ("valve1", "valve2", "other") for file in data.glob(f"skab/{place}/*")
    ]
    read = sorted(
        (pd.read_csv(file, sep=";") for file in files), key=lambda one: one["datetime"][0]
    )
    windows = [cut(one[[*SKAB, "Volume Flow RateRMS"]], 30) for one in read]
    return np.concatenate(windows), np.concatenate(
        [milliseconds(one["datetime"])[29:] for one in read]
    )


def cmapss(data: Path, folder: Path, engines: Rows) -> Bundle:
    with gzip.open(data / "cmapss/train_FD001.txt.gz", "rt") as file:
        lines = file.read().splitlines()
    kept = [line for line in lines if engines[0] <= int(line.split()[0]) <= engines[1]]

    def change(recipe: Recipe) -> None:
        del recipe["target"]["left"]
        recipe["split"] = {"method": "group", "test": 0.25}
        recipe["search"] = {"trials": 1, "candidates": ["linear"]}

    return bundle_of("cmapss", kept, folder, change)


def cmapss_replay(data: Path) -> tuple[Windows, NDArray[np.int64]]:
    """One engine after the other, each in a block of its own: a cycle is an hour."""
    read = pd.read_csv(data / "cmapss/test_FD001.txt.gz", sep=r"\s+", names=CMAPSS_COLUMNS.split())
    recipe = tomllib.loads((RECIPES / "cmapss.toml").read_text())
    names = [signal["name"] for signal in recipe["signals"]]
    windows = [cut(one[names], 30) for _, one in read.groupby("engine")]
    times = [(400 * at + np.arange(len(own))) * HOUR_MS for at, own in enumerate(windows)]
    return np.concatenate(windows), np.concatenate(times)


def milliseconds(times: "pd.Series[str]") -> NDArray[np.int64]:
    read = pd.to_datetime(times, utc=True) - pd.Timestamp(0, tz="UTC")
    return np.asarray(read // pd.Timedelta("1ms"), dtype=np.int64)


PLANTS = {
    "ai4i": Plant(
        ai4i, ai4i_replay, ((0, 4000), (1000, 5000)), 900, 60, 4, lambda torque: torque * 1.356
    ),
    "nab": Plant(
        nab,
        nab_replay,
        ((0, 3404), (500, 4500)),
        50_000,
        300,
        0,
        lambda heat: (heat - 32) / 1.8,
    ),
    "skab": Plant(skab, skab_replay, ((0, 6000), (3000, 9400)), 130, 1, 5, lambda flow: flow / 60),
    "cmapss": Plant(
        cmapss,
        cmapss_replay,
        ((1, 60), (41, 100)),
        1_440_000,
        3600,
        3,
        lambda heat: heat / 1.8,
    ),
}


@cache
def trained_once(name: str, data: Path, rows: Rows) -> Bundle:
    with TemporaryDirectory() as folder, empty_pictures():
        return PLANTS[name].train(data, Path(folder), rows)


def judged(name: str, data: Path, kind: str) -> tuple[str, int, str]:
    """How a rollout ends, after how many windows, and the evidence in words."""
    plant = PLANTS[name]
    champion = trained_once(name, data, plant.parts[0])
    candidate = trained_once(name, data, plant.parts[1]) if kind == "retrained" else champion
    windows, at_ms = plant.replay(data)
    seen = windows.copy()
    if kind == "damaged":
        seen[:, :, plant.signal] = plant.unit(seen[:, :, plant.signal])
    both = (champion, candidate)
    known = [read_document(one.reference, one.manifest.channels) for one in both]
    first, second = (Profile.of(one.manifest, read) for one, read in zip(both, known, strict=True))
    pair = Pair(Limits(block_s=plant.block_s), first, second)
    storm = StormLimits(windows=max(LEAST_WINDOWS, round(2 * plant.block_s / plant.hop_s)))
    scored = champion.manifest.output("score") is not None
    hard = HardGates(HardLimits(storm=storm), *known, scored=scored)
    answers, others = offline(champion, windows), offline(candidate, seen)
    for at in range(0, len(windows), BATCH):
        part = slice(at, at + BATCH)
        quality = [int(Quality.GOOD)] * len(at_ms[part])
        own = first.answers({output: got[part] for output, got in answers.items()}, quality)
        other = second.answers({output: got[part] for output, got in others.items()}, quality)
        if (trip := hard.add(own, other)) is not None:
            return trip.gate, at + len(quality), trip.message
        pair.add(at_ms[part], own, other)
        if pair.evidence.verdict != "open":
            gates = ", ".join(pair.evidence.tripped)
            return gates or "no worse", at + len(quality), pair.evidence.said
    return "open", len(windows), pair.evidence.said


@pytest.mark.parametrize(
    ("name", "kind", "end"),
    [
        ("ai4i", "identical", "no worse"),
        ("ai4i", "retrained", "direction"),
        ("ai4i", "damaged", "disagreement"),
        ("nab", "identical", "open"),
        ("nab", "retrained", "open"),
        ("nab", "damaged", "rank"),
        ("skab", "identical", "no worse"),
        ("skab", "retrained", "direction"),
        ("skab", "damaged", "out_of_range"),
        ("cmapss", "identical", "open"),
        ("cmapss", "retrained", "open"),
        ("cmapss", "damaged", "out_of_range"),
    ],
)
def test_rollout_over_a_recording_ends_as_it_should(
    name: str, kind: str, end: str, data: Path, figure: Callable[[str], None]
) -> None:
    """The retrained detectors of SKAB and AI4I do differ, by more than is allowed.

    That of SKAB has no alarm in 6 % of the windows, where the champion has one; that of AI4I finds
    65 failures of 104 instead of 58, and has 24 false alarms instead of 8. The nine weeks of NAB
    and the hundred engines of C-MAPSS have too few blocks to show a good model.
    """
    found, windows, said = judged(name, data, kind)
    figure(f"gates, {name}, {kind}: {found} after {windows} windows ({said})")
    assert found == end
