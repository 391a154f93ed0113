"""Published protocols through the whole product: trained, published, pulled, streamed, compared.

The test part of every recipe is replayed, whole, to a gateway on a real broker. What comes over
MQTT is what the bundle's graph answers offline, to the last alarm, so the figures are the same too.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from models.bundle.package import Bundle
from tests.kit.gateway.agent import telemetry_pipeline
from tests.kit.pictures import empty_pictures
from tests.realdata.line import (
    RECIPES,
    Answer,
    assert_equal,
    cut,
    line,
    offline,
    trained,
    trained_once,
)

SKAB_FOLDERS = {"valve1": 16, "valve2": 4, "other": 14}
"""Labelled experiments in each."""
SKAB_TRAINED, SKAB_LENGTH, SKAB_MAX_GAP_S = 400, 30, 60
CMAPSS_COLUMNS = (
    "engine cycle altitude mach tra T2 T24 T30 T50 P2 P15 P30 Nf Nc epr Ps30 phi NRf NRc BPR farB "
    "htBleed Nf_dmd PCNfR_dmd W31 W32"
)
CMAPSS_LENGTH = 30
CMAPSS_EPOCH_MS = pd.Timestamp("2024-01-01", tz="UTC").value // 10**6
NAB_FILE = "machine_temperature_system_failure.csv"
NAB_TRAINED, NAB_LENGTH, NAB_ROWS_A_WEEK = 3404, 72, 7 * 24 * 12

pytestmark = pytest.mark.usefixtures("data")


@dataclass(frozen=True)
class Experiment:
    """One of SKAB's, which has a model and a stream of its own.

    Attributes:
        name: of the stream.
        recipe: that of valve1/1, for this file.
        anomaly: the label of every row of the test part, `[rows]`.
        windows: float32 `[n, length, channels]`, cut by NumPy of the test part.
        ends: the test part's row that each window ends with, `[n]`.
        times_ms: the time of these rows, milliseconds since 1970.
        bundle: the model.
    """

    name: str
    recipe: Path
    anomaly: NDArray[np.int64]
    windows: NDArray[np.float32]
    ends: NDArray[np.int64]
    times_ms: list[int]
    bundle: Bundle

    @property
    def topic(self) -> str:
        return f"plant/{self.name}/telemetry"

    def outcomes(self, value: Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
        """Rows by truth and alarm, `[2, 2]`; a row without an answer is no alarm."""
        alarm = np.zeros(len(self.anomaly), dtype=np.int64)
        alarm[self.ends] = value
        return np.bincount(2 * self.anomaly + alarm, minlength=4).reshape(2, 2)


def test_skab_all_experiments(data: Path, tmp_path: Path, figure: Callable[[str], None]) -> None:
    files = [file for folder in SKAB_FOLDERS for file in data.glob(f"skab/{folder}/*.csv")]
    assert len(files) == sum(SKAB_FOLDERS.values())
    with empty_pictures():
        experiments = [_experiment(file, tmp_path) for file in files]
    pipelines = [_pipeline(one.name, one.topic) for one in experiments]
    with line(tmp_path, [one.bundle for one in experiments], pipelines) as made:
        for one in experiments:
            made.replay(one.recipe, "--topic", one.topic, "--rows", f"{SKAB_TRAINED}:")
        answers = _by(made.answers(sum(len(one.ends) for one in experiments)), "stream")
    streamed, graph = np.zeros((2, 2), dtype=int), np.zeros((2, 2), dtype=int)
    near = 0
    for one in experiments:
        own = answers.pop(one.name)
        assert_equal(one.bundle, own, one.windows)
        assert [answer["timestamp"] for answer in own] == one.times_ms
        found = offline(one.bundle, one.windows)
        streamed += one.outcomes([answer["value"] for answer in own])
        graph += one.outcomes(found["value"])
        near += _near_the_limit(one.bundle, found["score"])
    assert not answers
    assert streamed.tolist() == graph.tolist()
    f1, false_alarms, missed = _rates(streamed)
    assert f1 >= 0.80
    assert false_alarms <= 0.13
    figure(
        f"SKAB, {len(files)} models: {sum(len(one.ends) for one in experiments)} decisions on "
        f"{streamed.sum()} rows, {streamed[:, 1].sum()} of them alarms, equal offline; {near} are "
        f"within the tolerance of the limit; F1 {f1:.3f}, FAR {false_alarms:.1%}, MAR {missed:.1%}"
    )


def test_cmapss_all_engines_interleaved(
    data: Path, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    path, recipe = data / "cmapss" / "test_FD001.txt.gz", RECIPES / "cmapss.toml"
    table = pd.read_csv(path, sep=r"\s+", header=None).set_axis(CMAPSS_COLUMNS.split(), axis=1)
    bundle = trained_once("cmapss")
    channels = [channel.name for channel in bundle.manifest.channels]
    engines = {f"fleet/test_FD001-{number}": rows for number, rows in table.groupby("engine")}
    windows = {name: cut(rows[channels], CMAPSS_LENGTH) for name, rows in engines.items()}
    with line(tmp_path, [bundle], [telemetry_pipeline("turbofan-rul")]) as made:
        made.replay(recipe, str(path), "--topic", "plant/fleet/{asset}/telemetry")
        answers = made.answers(sum(map(len, windows.values())))
    switches = sum(a["asset"] != b["asset"] for a, b in pairwise(answers))
    assert switches > len(answers) // 2, "the engines were interleaved"
    apart, last = _by(answers, "asset"), []
    assert set(apart) == set(engines)
    for name, rows in engines.items():
        assert_equal(bundle, apart[name], windows[name])
        hours = CMAPSS_EPOCH_MS + rows["cycle"].iloc[CMAPSS_LENGTH - 1 :] * 3_600_000
        assert [answer["timestamp"] for answer in apart[name]] == hours.tolist()
        last.append((apart[name][-1]["value"], offline(bundle, windows[name])["value"][-1]))
    left = np.loadtxt(data / "cmapss" / "RUL_FD001.txt")
    streamed, graph = (np.sqrt(np.mean((value - left) ** 2)) for value in np.array(last).T)
    assert streamed == pytest.approx(graph, abs=1e-4)
    assert streamed <= 15.5
    figure(
        f"C-MAPSS FD001: {len(answers)} predictions on {len(table)} rows of {len(engines)} engines "
        f"equal offline; RMSE at the last cycle {streamed:.4f}, offline {graph:.4f}"
    )


def test_nab_alarm_within_the_window_of_the_failure(
    data: Path, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    table = pd.read_csv(data / "nab" / NAB_FILE, parse_dates=["timestamp"])
    # The clock was set back an hour in January; replay sorts these readings in, and all count.
    rest = table.sort_values("timestamp", kind="stable").iloc[NAB_TRAINED:]
    windows = cut(rest[["value"]], NAB_LENGTH)
    recipe, topic = RECIPES / "nab.toml", "plant/machine/telemetry"
    bundle = trained_once("nab")
    with line(tmp_path, [bundle], [_pipeline("machine-temperature", topic)]) as made:
        made.replay(recipe, "--topic", topic, "--rows", f"{NAB_TRAINED}:")
        answers = made.answers(len(windows))
    assert_equal(bundle, answers, windows)
    at = pd.to_datetime([answer["timestamp"] for answer in answers], unit="ms")
    assert at.tolist() == rest["timestamp"].iloc[NAB_LENGTH - 1 :].tolist()
    alarm = np.array([answer["value"] for answer in answers])
    raised = at[np.diff(alarm, prepend=0) == 1]
    spans = json.loads((data / "nab" / "combined_windows.json").read_text())
    labelled = [pd.to_datetime(span) for span in spans[f"realKnownCause/{NAB_FILE}"]]
    first, last = labelled[-1]
    in_time = raised[(raised >= first) & (raised <= last)]
    assert len(in_time), "an alarm is raised within the window of the failure"
    false = _outside(raised, labelled)
    weeks = len(_outside(at, labelled)) / NAB_ROWS_A_WEEK
    figure(
        f"NAB machine temperature: {len(answers)} decisions equal offline; {in_time[0]} is the "
        f"first alarm in the failure's window ({first} to {last}); false alarms {len(false)} in "
        f"{weeks:.1f} weeks, {len(false) / weeks:.1f} a week"
    )


def test_ai4i_one_row_one_prediction(
    data: Path, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    rows = 3000
    table = pd.read_csv(data / "ai4i2020" / "ai4i2020.csv").iloc[:rows]
    table.columns = table.columns.str.strip()
    names = ["Type", "Air_temperature", "Process_temperature", "Rotational_speed", "Torque"]
    table = table[[*names, "Tool_wear"]].replace({"Type": {"L": 0, "M": 1, "H": 2}})
    pipeline: dict[str, object] = {
        "stream": "milling-failure",
        "inputs": [{"topic": "plant/mill/rows", "sequence": "n"}],
    }
    recipe = RECIPES / "ai4i.toml"
    bundle = trained_once("ai4i")
    with line(tmp_path, [bundle], [pipeline]) as made:
        made.replay(recipe, "--topic", "plant/mill/rows", "--sequence", "n", "--rows", f":{rows}")
        answers = made.answers(rows)
    assert_equal(bundle, answers, table.to_numpy(np.float32)[:, None, :])
    assert len({answer["id"] for answer in answers}) == rows
    failures = sum(answer["label"] == "failure" for answer in answers)
    figure(f"AI4I (synthetic): {rows} rows, {len(answers)} predictions, {failures} failures")


def test_states_and_booleans_are_served_as_they_were_trained(
    data: Path, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    table = pd.read_csv(data / "ai4i2020" / "ai4i2020.csv").iloc[:4000]
    table.columns = table.columns.str.strip()
    table["Worn"] = table["Tool_wear"] >= 150  # as a PLC reports it, beside the minutes
    table.to_csv(tmp_path / "rows.csv", index=False)
    text = (RECIPES / "ai4i.toml").read_text()
    text = text.replace("${MILLHAND_DATA}/ai4i2020/ai4i2020.csv", str(tmp_path / "rows.csv"))
    text += '[search]\ntrials = 1\ncandidates = ["linear"]\n'
    recipe = tmp_path / "states.toml"
    recipe.write_text(text + '[[signals]]\nname = "worn"\ncolumn = "Worn"\n')
    bundle = trained(recipe, tmp_path / "bundle")
    names = [channel.name for channel in bundle.manifest.channels]
    rows = table.iloc[-1000:].rename(columns=str.lower)[names]
    assert set(rows["type"]) == {"L", "M", "H"}
    assert set(rows["worn"]) == {True, False}
    pipeline: dict[str, object] = {
        "stream": "milling-failure",
        "inputs": [{"topic": "plant/mill/rows", "sequence": "n"}],
    }
    with line(tmp_path, [bundle], [pipeline]) as made:
        for number, row in enumerate(rows.to_dict("records")):
            made.scada.publish("plant/mill/rows", json.dumps({"n": number, **row}))
        made.scada.flush()
        answers = made.answers(len(rows))
    known = {"L": 0, "M": 1, "H": 2}
    windows = rows.assign(type=rows["type"].map(known)).to_numpy(np.float32)[:, None, :]
    assert_equal(bundle, answers, windows)
    for name in ("type", "worn"):
        changed = windows.copy()
        changed[..., names.index(name)] = 0
        scores = offline(bundle, windows)["score"], offline(bundle, changed)["score"]
        assert not np.allclose(*scores, rtol=1e-3), f"{name} does not matter to the model"
    figure(f"AI4I with a boolean: {len(answers)} predictions equal offline")


def _experiment(file: Path, folder: Path) -> Experiment:
    """Train on the first rows of a file, whatever they are; windows begin anew after a pause."""
    name = f"skab-{file.parent.name}-{file.stem}"
    text = (RECIPES / "skab.toml").read_text().replace('"skab-valve"', f'"{name}"')
    recipe = folder / f"{name}.toml"
    text = text.replace("${MILLHAND_DATA}/skab/valve1/1.csv", str(file))
    recipe.write_text(text.replace('column = "anomaly"', ""))
    rest = pd.read_csv(file, sep=";", parse_dates=["datetime"]).iloc[SKAB_TRAINED:]
    pauses = np.flatnonzero(rest["datetime"].diff().dt.total_seconds() > SKAB_MAX_GAP_S)
    stretches = np.split(np.arange(len(rest)), pauses)
    signals = rest.iloc[:, 1:9].drop(columns=["Temperature", "Thermocouple"])
    windows = [cut(signals.iloc[rows], SKAB_LENGTH) for rows in stretches]
    ends = np.concatenate([rows[SKAB_LENGTH - 1 :] for rows in stretches])
    return Experiment(
        name=name,
        recipe=recipe,
        anomaly=rest["anomaly"].to_numpy(dtype=np.int64),
        windows=np.concatenate(windows),
        ends=ends,
        times_ms=rest["datetime"].iloc[ends].to_numpy("datetime64[ms]").astype(np.int64).tolist(),
        bundle=trained(recipe, folder / name),
    )


def _pipeline(stream: str, topic: str) -> dict[str, object]:
    return {"stream": stream, "inputs": [{"topic": topic, "timestamp": "ts"}]}


def _near_the_limit(bundle: Bundle, score: NDArray[Any]) -> int:
    """How many decisions may fall otherwise on another machine; 1 is the limit."""
    spec = bundle.manifest.golden
    return int(np.isclose(score, 1, rtol=spec.rtol, atol=spec.atol).sum())


def _rates(outcomes: NDArray[np.int64]) -> tuple[float, float, float]:
    """F1, share of normal rows with an alarm, share of abnormal rows without."""
    (tn, fp), (fn, tp) = outcomes.tolist()
    return 2 * tp / (2 * tp + fp + fn), fp / (fp + tn), fn / (fn + tp)


def _outside(at: pd.DatetimeIndex, spans: Sequence[pd.DatetimeIndex]) -> pd.DatetimeIndex:
    """The times that are in none of the spans."""
    within = np.any([(at >= first) & (at <= last) for first, last in spans], axis=0)
    outside: pd.DatetimeIndex = at[~within]
    return outside


def _by(answers: Sequence[Answer], key: str) -> dict[str, list[Answer]]:
    """The answers in order, apart by stream or asset."""
    found: dict[str, list[Answer]] = {}
    for answer in answers:
        found.setdefault(answer[key], []).append(answer)
    return found
