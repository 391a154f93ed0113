"""Drift goes on over a restart: the window, the alarm, and that it has been told."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.config.settings import Limits
from agent.journal.drift_state import KeptDrift
from agent.streams.pipeline import Pipeline
from models.bundle.package import Bundle, pack_bundle
from models.bundle.reference import read_reference, write_reference
from models.input.pipeline import Pipeline as PipelineSettings
from serving.model import Model
from serving.session import Session
from serving.worker import WakeUp, Worker
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.factories import REPORT
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.undisturbed import CHANNELS, WIDTH, document, repeating
from tests.kit.waiting import eventually

PIPELINE = telemetry_pipeline("mean")
OFTEN: dict[str, object] = {"metrics_s": 0.1, "keep_drift_s": 0.1}
SELDOM: dict[str, object] = {"metrics_s": 0.1, "keep_drift_s": 86_400.0}
BASE_MS = 1_760_000_000_000
BLOCK = 25
WINDOW = 8 * BLOCK


@pytest.fixture(scope="module")
def watched() -> Bundle:
    """A bundle that has limits for drift."""
    plain = linear_bundle("mean", 1, [1 / WIDTH] * WIDTH, channels=CHANNELS)
    members = {
        "model.onnx": plain.model,
        "golden.npz": plain.golden,
        "reference.json": write_reference(document(repeating(0.0, 20_000, 0), WINDOW)),
        "report.html": REPORT,
    }
    return pack_bundle(plain.manifest, members)


class Line:
    """One pump, its agent, and who reads its metrics."""

    def __init__(self, gateway: Gateway, client: PlantClient) -> None:
        self.gateway = gateway
        self._client = client
        self._sent = 0

    def send(self, values: NDArray[np.float32]) -> dict[str, Any]:
        """Publish rows, and wait until all are answered; returns what is told of drift then."""
        for row in values.tolist():
            fields = {f"s{index}": value for index, value in enumerate(row)}
            at_ms = BASE_MS + self._sent
            self._client.publish("plant/l1/p1/telemetry", {"ts": at_ms, **fields})
            self._sent += 1
        self._client.wait_for("_inference", self._sent)
        return self.drift()

    def drift(self) -> dict[str, Any]:
        """What is told of drift from now on."""
        told = self._client.count("metrics")
        drift: dict[str, Any] = self._client.wait_for("metrics", told + 1)[-1]["streams"]["mean"]
        return dict(drift["drift"])


@contextmanager
def serving(folder: Path, bundle: Bundle, limits: dict[str, object]) -> Iterator[Line]:
    filters = ["plant/+/+/_inference/mean", "millhand/gw1/metrics"]
    with (
        mosquitto(folder / "broker") as broker,
        PlantClient(broker.port, filters) as client,
        Gateway(folder / "gw", broker.port, [PIPELINE], sections={"limits": limits}) as gateway,
    ):
        gateway.keep(bundle)
        gateway.start_serving()
        yield Line(gateway, client)


def moved(count: int, seed: int) -> NDArray[np.float32]:
    values = repeating(0.0, count, seed)
    values[:, 1] += 2
    return values


def kept(gateway: Gateway, bundle: Bundle, folder: Path) -> dict[str, Any] | None:
    """What is told of drift by an agent that starts on a copy of what is on disk."""
    path = gateway.state_dir / "drift" / "mean"
    if not path.exists():
        return None
    folder.mkdir(exist_ok=True)
    shutil.copy(path, folder)
    pipeline = Pipeline(PipelineSettings.model_validate(PIPELINE), Limits())
    known = read_reference(bundle.reference, CHANNELS)
    pipeline.activate(Model(Session(bundle), bundle.sha256, known))
    wake_up = WakeUp()
    worker = Worker("test", wake_up)
    KeptDrift(folder, 60.0, [pipeline], worker, lambda: 0.0).restore()
    worker.stop(5)
    wake_up.close()
    return dict(pipeline.drift["drift"])


def test_stop_and_start_keep_window_and_alarm_and_tell_neither_again(
    tmp_path: Path, watched: Bundle
) -> None:
    with serving(tmp_path, watched, SELDOM) as line:
        calm = repeating(0.0, WINDOW + BLOCK, 2)
        before = line.send(np.concatenate([moved(WINDOW, 1), calm[: BLOCK - 1]]))
        assert (before["alarm"], before["worst"], before["watched"]) == (True, "s1", 1)
        assert line.gateway.stop() == 0
        line.gateway.start_serving()
        assert line.drift() == before
        after = line.send(calm[BLOCK - 1 : BLOCK])
        assert after["ratio"] < before["ratio"], "the block goes on where it was, and is full"
        assert line.send(calm[BLOCK:])["alarm"] is False
        log = line.gateway.log
    assert (log.count("drift began"), log.count("drift ended")) == (1, 1), log
    assert log.count("INFO drift restored") == 1


def test_kill_costs_what_was_counted_since_the_last_writing(
    tmp_path: Path, watched: Bundle
) -> None:
    with serving(tmp_path, watched, OFTEN) as line:
        gateway = line.gateway
        written = line.send(moved(WINDOW, 1))
        assert written["alarm"] is True
        eventually(lambda: kept(gateway, watched, tmp_path / "copy") == written, 30)
        gateway.kill()
        gateway.sections = {"limits": SELDOM}
        gateway.start_serving()
        assert line.drift() == written
        assert line.send(moved(2 * BLOCK, 2)) != written
        gateway.kill()
        gateway.start_serving()
        assert line.drift() == written
        log = gateway.log
    assert (log.count("drift began"), log.count("drift restored")) == (1, 2), log


def test_damaged_file_is_refused_once_and_drift_begins_anew(
    tmp_path: Path, watched: Bundle
) -> None:
    with serving(tmp_path, watched, SELDOM) as line:
        line.send(moved(WINDOW, 1))
        line.gateway.stop()
        path = line.gateway.state_dir / "drift" / "mean"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        line.gateway.start_serving()
        anew = line.send(moved(1, 2))
        assert (anew["alarm"], anew["ratio"], anew["watched"]) == (False, None, 1)
        line.gateway.stop()
        line.gateway.start_serving()
        assert line.drift() == anew
        log = line.gateway.log
    assert log.count("drift refused") == 1, log
    assert log.count("drift restored") == 1
