"""Real recordings through the whole product: trained, published, pulled, streamed, compared.

The oracle knows nothing of ours but the bundle's graph: pandas reads the file, NumPy cuts the
windows, onnxruntime answers them. What the gateway says must be the same, window by window.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.bundle import Bundle, read_bundle
from tests.brokers import Mosquitto, mosquitto
from tests.gateway import Gateway, telemetry_pipeline
from tests.mqtt_client import PlantClient
from tests.published import Published, push
from tests.waiting import eventually

RECIPES = Path(__file__).parent / "recipes"
SKAB_LENGTH = 30
CMAPSS_NAMES = (
    "altitude mach tra T2 T24 T30 T50 P2 P15 P30 Nf Nc epr Ps30 phi NRf NRc BPR farB htBleed "
    "Nf_dmd PCNfR_dmd W31 W32"
)
CMAPSS_EPOCH = pd.Timestamp("2024-01-01", tz="UTC")

pytestmark = pytest.mark.usefixtures("data")


@dataclass
class Line:
    """A gateway that runs a trained bundle, and a SCADA system that hears it."""

    bundle: Bundle
    broker: Mosquitto
    scada: PlantClient
    gateway: Gateway

    def replay(self, recipe: str, *arguments: str) -> None:
        """Play the recipe's own recording with the product's own command."""
        _trainer(
            "replay",
            *("--recipe", str(RECIPES / f"{recipe}.toml")),
            *("--broker", f"127.0.0.1:{self.broker.port}", "--speed", "max", *arguments),
        )

    def answers(self, count: int) -> list[dict[str, Any]]:
        """Exactly `count` predictions, after the gateway has said that nothing waits."""
        eventually(
            lambda: self.scada.count("_inference") >= count,
            60,
            f"{count} predictions\n{self.gateway.log}",
        )
        metrics = self.scada.count("metrics")
        self.scada.wait_for("metrics", metrics + 2)
        assert self.scada.documents("metrics")[-1]["waiting"] == 0
        return self.scada.documents("_inference")

    def offline(self, windows: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """What the bundle's graph answers to `[n, length, channels]`."""
        session = onnxruntime.InferenceSession(self.bundle.model)
        names = [output.name for output in self.bundle.manifest.outputs]
        return dict(zip(names, session.run(names, {"window": windows}), strict=True))

    def assert_equal(self, answers: Sequence[dict[str, Any]], windows: NDArray[np.float32]) -> None:
        """Every answer is the offline one within the bundle's own tolerance."""
        expected, spec = self.offline(windows), self.bundle.manifest.golden
        assert len(answers) == len(windows)
        assert {answer["quality"] for answer in answers} == {"GOOD"}
        for name in {"value", "score"} & set(expected):
            given = np.array([answer[name] for answer in answers])
            np.testing.assert_allclose(
                given, expected[name].ravel(), rtol=spec.rtol, atol=spec.atol, err_msg=name
            )


def test_skab_rest_of_the_experiment(
    data: Path, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    table = pd.read_csv(data / "skab" / "valve1" / "1.csv", sep=";", parse_dates=["datetime"])
    rest = table.iloc[400:]
    with _line(tmp_path, "skab", telemetry_pipeline("skab-valve")) as line:
        line.replay("skab", "--topic", "plant/l1/{asset}/telemetry", "--rows", "400:")
        signals = rest.iloc[:, 1:9].drop(columns=["Temperature", "Thermocouple"])
        windows = sliding_window_view(signals.to_numpy(np.float32), SKAB_LENGTH, axis=0)
        windows = np.ascontiguousarray(windows.transpose(0, 2, 1))
        answers = line.answers(len(windows))
        line.assert_equal(answers, windows)
    times = rest["datetime"].dt.tz_localize("UTC").astype("datetime64[ms, UTC]").astype(np.int64)
    assert [answer["timestamp"] for answer in answers] == times.iloc[SKAB_LENGTH - 1 :].tolist()
    figure(f"SKAB valve1/1: {len(answers)} predictions of {len(rest)} rows equal offline")


def test_cmapss_engines_interleaved(
    data: Path, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    names = ["engine", "cycle", *(f"x{number}" for number in range(24))]
    path = data / "cmapss" / "train_FD001.txt.gz"
    table = pd.read_csv(path, sep=r"\s+", header=None, names=names)
    engines = [1, 2, 3, 17, 50, 99]
    with _line(tmp_path, "cmapss", telemetry_pipeline("turbofan-rul")) as line:
        chosen = ",".join(map(str, engines))
        line.replay("cmapss", "--topic", "plant/fleet/{asset}/telemetry", "--assets", chosen)
        columns = _cmapss_columns(line.bundle)
        wanted = {
            engine: sliding_window_view(
                table.loc[table.engine == engine, columns].to_numpy(np.float32), 30, axis=0
            ).transpose(0, 2, 1)
            for engine in engines
        }
        answers = line.answers(sum(map(len, wanted.values())))
        for engine, windows in wanted.items():
            own = [a for a in answers if a["asset"] == f"fleet/{engine}"]
            line.assert_equal(own, np.ascontiguousarray(windows))
            cycles = table.loc[table.engine == engine, "cycle"].iloc[29:]
            hours = CMAPSS_EPOCH.value // 10**6 + cycles * 3_600_000
            assert [a["timestamp"] for a in own] == hours.tolist()
    assets = [answer["asset"] for answer in answers]
    switches = sum(a != b for a, b in pairwise(assets))
    assert switches > len(answers) // 2, "the engines were interleaved"
    figure(f"C-MAPSS FD001: {len(answers)} predictions of {len(engines)} engines equal offline")


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
    with _line(tmp_path, "ai4i", pipeline) as line:
        line.replay("ai4i", "--topic", "plant/mill/rows", "--sequence", "n", "--rows", f":{rows}")
        answers = line.answers(rows)
        line.assert_equal(answers, table.to_numpy(np.float32)[:, None, :])
    assert len({answer["id"] for answer in answers}) == rows
    failures = sum(answer["label"] == "failure" for answer in answers)
    figure(f"AI4I (synthetic): {rows} rows, {len(answers)} predictions, {failures} failures")


@contextmanager
def _line(folder: Path, recipe: str, pipeline: dict[str, object]) -> Iterator[Line]:
    """Train, publish, start the gateway without a model, push, and wait until it serves."""
    _trainer("train", str(RECIPES / f"{recipe}.toml"), "--out", str(folder / "out"))
    (path,) = (folder / "out").glob("*.zip")
    bundle = read_bundle(path.read_bytes())
    published = Published.create(folder)
    published.publish(bundle)
    with (
        mosquitto(folder / "broker", max_queued_messages=0) as broker,
        PlantClient(broker.port, ["plant/#", "millhand/#"]) as scada,
        Gateway(
            folder / "gw",
            broker.port,
            [pipeline],
            registry=published.url,
            root=published.keys.root,
            sections={"limits": {"metrics_s": 0.5}},
        ) as gateway,
    ):
        gateway.start_serving()
        push(scada, bundle.manifest.stream, bundle.manifest.seq)
        scada.wait_for("current", 2)
        eventually(lambda: scada.documents("current")[-1]["state"] == "serving", 30, gateway.log)
        yield Line(bundle, broker, scada, gateway)


def _trainer(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *arguments], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _cmapss_columns(bundle: Bundle) -> list[str]:
    """Columns of the file, in the order of the model's channels."""
    place = {name: f"x{number}" for number, name in enumerate(CMAPSS_NAMES.split())}
    return [place.get(channel.name, channel.name) for channel in bundle.manifest.channels]
