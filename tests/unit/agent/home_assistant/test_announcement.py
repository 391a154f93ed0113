"""What is announced, when, and that nothing is forgotten that has to be taken back."""

import json
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agent.config.settings import Settings
from agent.control import Control
from agent.home_assistant.announcement import Announcement
from agent.streams.pipeline import Pipeline
from models.bundle.manifest import WindowSpec
from models.bundle.package import Bundle
from serving.model import Model
from serving.session import Session
from serving.worker import WakeUp, Worker
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from agent.delivery.outgoing import Outgoing

GUIDE = (Path(__file__).parents[4] / "docs/home-assistant.md").read_text()
TOPIC = "homeassistant/device/gateway-1/config"
WINDOW = WindowSpec(length=4, hop=4, sample_period_ms=5000)
MASS = linear_bundle("mass", 1, [1.0, 10.0])


@pytest.fixture
def worker() -> Iterator[Worker]:
    wake_up = WakeUp()
    worker = Worker("test", wake_up)
    yield worker
    worker.stop(20.0)
    wake_up.close()


class Gateway:
    """A gateway whose messages are collected.

    Attributes:
        pipelines: its streams, which have no model until one is activated.
    """

    def __init__(self, folder: Path, worker: Worker, **fields: object) -> None:
        content = {
            "gateway": {"id": "gateway-1", "state_dir": folder},
            "broker": {"host": "localhost"},
            "registry": {"url": "file:///registry", "root": "root.json"},
            "home_assistant": {"enabled": True},
        }
        self._settings = Settings.model_validate(content | fields)
        limits = self._settings.limits
        self.pipelines = [Pipeline(one, limits) for one in self._settings.pipelines]
        self._posted: list[Outgoing] = []
        self._control = Control("gateway-1", self._posted.append)
        self._announcement = Announcement(
            self._settings, self.pipelines, self._control, self._posted.append, worker
        )

    def activate(self, place: int, bundle: Bundle) -> None:
        self.pipelines[place].activate(Model(Session(bundle), bundle.sha256))

    def told(self, *, connects: int = 1) -> list[tuple[str, dict[str, Any]]]:
        """Topic and components of what a tick publishes; none in an empty message."""
        before = len(self._posted)
        self._announcement.tick(connects)
        new = self._posted[before:]
        assert all(one.retain and one.qos == 1 for one in new)
        return [(one.topic, json.loads(one.payload)["cmps"] if one.payload else {}) for one in new]

    def hear(self, payload: bytes, topic: str = "homeassistant/status") -> bool:
        return self._announcement.heard(topic, payload)

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self._posted[-1].payload)
        return document


def stream(name: str, *assets: str) -> dict[str, object]:
    inputs = [{"topic": "plant/{asset}/row", "timestamp": "ts"}]
    return {"stream": name, "inputs": inputs, "assets": assets}


def recorded(folder: Path, wanted: set[str]) -> None:
    """Wait until the record names these components."""

    def found() -> bool:
        path = folder / "home_assistant.json"
        return path.exists() and set(json.loads(path.read_bytes())["platforms"]) == wanted

    eventually(found, 20, "the record")


def test_guide_shows_what_its_configuration_announces(tmp_path: Path, worker: Worker) -> None:
    (configuration,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    (shown,) = map(json.loads, re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL))
    gateway = Gateway(tmp_path, worker, **tomllib.loads(configuration))
    gateway.activate(0, linear_bundle("pump-health", 1, [1.0, 10.0], window=WINDOW))
    gateway.told()
    document = gateway.document
    assert list(document["cmps"]) == ["pump-health/l1/pump7", "pump-health/l1/pump8"]
    del document["cmps"]["pump-health/l1/pump8"]
    for part in ("dev", "o"):
        assert document[part]["sw"] == version("millhand")
        shown[part]["sw"] = document[part]["sw"]
    assert document == shown


def test_it_is_told_once_and_again_after_a_connect_a_birth_or_another_model(
    tmp_path: Path, worker: Worker
) -> None:
    gateway = Gateway(tmp_path, worker, pipelines=[stream("mass", "p1")])
    assert gateway.told() == [], "no model says what there is to see"
    gateway.activate(0, MASS)
    assert [topic for topic, _ in gateway.told()] == [TOPIC]
    assert gateway.told() == []
    assert len(gateway.told(connects=2)) == 1
    assert gateway.hear(b"offline")
    assert gateway.told(connects=2) == []
    assert gateway.hear(b"online")
    assert gateway.hear(b"online")
    assert len(gateway.told(connects=2)) == 1
    assert gateway.told(connects=2) == []
    assert not gateway.hear(b"online", "homeassistant/other")
    gateway.activate(0, linear_bundle("mass", 2, [1.0, 10.0], window=WINDOW))
    ((_, components),) = gateway.told(connects=2)
    assert components["mass/p1"]["expire_after"] == 60


def test_asset_and_stream_that_are_gone_are_removed_and_those_awaited_are_not(
    tmp_path: Path, worker: Worker
) -> None:
    before = Gateway(tmp_path, worker, pipelines=[stream("mass", "p1", "p2"), stream("flow", "p1")])
    before.activate(0, MASS)
    before.activate(1, linear_bundle("flow", 1, [1.0, 10.0]))
    before.told()
    recorded(tmp_path, {"mass/p1", "mass/p2", "flow/p1"})
    after = Gateway(tmp_path, worker, pipelines=[stream("mass", "p1"), stream("flow", "p1")])
    assert after.told() == []
    recorded(tmp_path, {"mass/p1", "mass/p2", "flow/p1"})
    after.activate(0, MASS)
    (_, first), (_, last) = after.told()
    assert first.pop("mass/p2") == {"p": "sensor"}
    assert first == last
    assert list(last) == ["mass/p1"]
    recorded(tmp_path, {"mass/p1", "flow/p1"})


def test_announcement_is_emptied_when_it_is_off_or_elsewhere(
    tmp_path: Path, worker: Worker
) -> None:
    pipelines = [stream("mass", "p1")]
    gateway = Gateway(tmp_path, worker, pipelines=pipelines)
    gateway.activate(0, MASS)
    gateway.told()
    recorded(tmp_path, {"mass/p1"})
    elsewhere = {"enabled": True, "prefix": "ha"}
    moved = Gateway(tmp_path, worker, pipelines=pipelines, home_assistant=elsewhere)
    moved.activate(0, MASS)
    assert [(topic, list(found)) for topic, found in moved.told()] == [
        (TOPIC, []),
        ("ha/device/gateway-1/config", ["mass/p1"]),
    ]
    eventually(lambda: b"ha/" in (tmp_path / "home_assistant.json").read_bytes(), 20, "the record")
    off = Gateway(tmp_path, worker, pipelines=pipelines, home_assistant={})
    assert off.told() == [("ha/device/gateway-1/config", {})]
    assert off.told(connects=2) == []
    assert not off.hear(b"online")
    recorded(tmp_path, set())
    assert Gateway(tmp_path, worker, pipelines=pipelines, home_assistant={}).told() == []


def test_record_that_cannot_be_read_keeps_nothing_from_being_told(
    tmp_path: Path, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home_assistant.json").write_text("{")
    gateway = Gateway(tmp_path, worker, pipelines=[stream("mass", "p1")])
    gateway.activate(0, MASS)
    assert [list(found) for _, found in gateway.told()] == [["mass/p1"]]
    assert len(caplog.records) == 1


def test_largest_announcement_is_below_one_mebibyte(tmp_path: Path, worker: Worker) -> None:
    assets = [f"{number:03}-{'x' * 60}" for number in range(500)]
    gateway = Gateway(tmp_path, worker, pipelines=[stream("mass", *assets)])
    gateway.activate(0, MASS)
    gateway.told()
    assert 100_000 < len(json.dumps(gateway.document)) < 1 << 20
