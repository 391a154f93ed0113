"""A rollout over three real agents, with a real broker and a controller that is killed."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from models.bundle.package import Bundle
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import detector_bundle
from tests.kit.bundles.published import Published
from tests.kit.bundles.publishing import split_keys
from tests.kit.children import python
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import BASE_MS, TOPIC
from tests.kit.model_server import ModelServer
from tests.kit.waiting import eventually

STREAM = "mass"
NAMES = ("gw1", "gw2", "gw3")
CHAMPION = detector_bundle(STREAM, 1, [1.0, 0.0], threshold=50.0)
TWIN = detector_bundle(STREAM, 2, [1.0, 0.0], threshold=50.0)
WORSE = detector_bundle(STREAM, 2, [1.0, 0.0], threshold=20.0)
WAIT_S = 120.0


class Fleet:
    """Three agents that read one pump, and a server with the controller."""

    def __init__(self, folder: Path, client: PlantClient, port: int) -> None:
        self.folder, self.client, self.sent = folder, client, 0
        self.published = Published.create(folder)
        self.published.publish(CHAMPION)
        online = split_keys(self.published.keys, folder / "online", "online")
        broker = {"host": "127.0.0.1", "port": port}
        rollouts = {"registry": str(self.published.folder), "keys": str(online.folder)}
        often = {"turn_s": 0.1, "settle_s": 0.3, "broker": broker}
        self.server = ModelServer(
            folder / "server", self.published, [{"stream": STREAM}], {"rollouts": rollouts | often}
        )
        self.server.write_config()
        self.gateways = [self._gateway(name, port) for name in NAMES]

    def _gateway(self, name: str, port: int) -> Gateway:
        made = Gateway(
            self.folder / name,
            port,
            [telemetry_pipeline(STREAM)],
            registry=self.published.url,
            root=self.published.keys.root,
            id=name,
            sections={
                "updates": {"healthy_s": 1.0, "hint_s": 0.5},
                "shadow": {"evidence_s": 0.1},
            },
        )
        made.keep(CHAMPION, pinned=False)
        return made

    def begin(self, bundle: Bundle) -> None:
        """Plan a rollout to a bundle by the command line, and start it."""
        (self.folder / "new.zip").write_bytes(bundle.content)
        plan = self.folder / "plan.toml"
        document = {
            "id": "mass-2",
            "stream": STREAM,
            "seq": 2,
            "deadline": datetime.now(UTC) + timedelta(days=1),
            "gates": {"block_s": 1.0},
            "groups": [
                {"name": "first", "gateways": ["gw1"], "soak_s": 2.0},
                {"name": "rest", "share": 1.0, "mode": "serve", "soak_s": 0.0},
            ],
        }
        plan.write_bytes(tomli_w.dumps(document).encode())
        keys = str(self.published.keys.folder)
        bundled = str(self.folder / "new.zip")
        self._command("plan", str(plan), "--keys", keys, "--bundle", bundled)
        self._command("start", "mass-2", "--by", "Eva")

    def _command(self, *arguments: str) -> None:
        config = str(self.server.folder / "server.toml")
        command = python("server", "rollout", *arguments, "--config", config)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
        assert done.returncode == 0, done.stderr

    def works(self) -> None:
        """Have the plant send some rows, one a block of time."""
        for number in range(self.sent, self.sent + 20):
            row = {"ts": BASE_MS + number * 1_000, "c0": float(number % 100), "c1": 1.0}
            self.client.publish(TOPIC, row)
        self.sent += 20

    def current(self, name: str) -> dict[str, Any]:
        """What a gateway runs."""
        return self.client.latest(f"millhand/{name}/current/{STREAM}") or {}

    def told(self) -> dict[str, Any]:
        """The rollout as HTTP tells it."""
        found: dict[str, Any] = self.server.request("GET", "/v1/rollouts/mass-2").document
        return found

    def wait(self, stage: int, state: str) -> dict[str, Any]:
        """Wait, while the plant works, until a step is open, or the state reached."""

        def reached() -> dict[str, Any] | None:
            self.works()
            told = self.told()
            is_there = told.get("stage", 0) >= stage and told.get("state") == state
            return told if is_there else None

        try:
            found = eventually(reached, WAIT_S, f"stage {stage} {state}")
        except Exception:
            print(self.told(), [self.current(name) for name in NAMES])  # noqa: T201  for the log
            raise
        assert found is not None
        return found


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    filters = ["plant/+/+/_inference/#", "millhand/#"]
    with (
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, filters) as client,
        ExitStack() as stack,
    ):
        made = Fleet(tmp_path, client, broker.port)
        for gateway in made.gateways:
            stack.enter_context(gateway).start_serving()
        stack.enter_context(made.server)
        yield made


def test_a_good_bundle_reaches_all_agents_without_a_person_though_the_controller_is_killed(
    fleet: Fleet,
) -> None:
    fleet.begin(TWIN)
    fleet.server.start()
    for stage in (1, 2, 3):
        fleet.wait(stage, "running")
        fleet.server.kill()
        fleet.server.start()
    told = fleet.wait(3, "done")
    eventually(
        lambda: {fleet.current(name).get("seq") for name in NAMES} == {2}, WAIT_S, "all to serve"
    )
    shown = told["groups"][0]["gateways"][0]
    assert sum(one["what"] == "takes over" for one in told["ledger"]) == 4
    assert shown["former"] == 1
    for name in NAMES:
        assert fleet.current(name)["rollout"]["state"] in ("serving", "probation"), name


def test_a_bundle_that_is_worse_in_the_shadow_is_held_and_never_heard(fleet: Fleet) -> None:
    fleet.begin(WORSE)
    fleet.server.start()
    held = fleet.wait(1, "held")
    answers = fleet.client.documents("_inference")
    assert held["stage"] == 1
    assert held["reason"].startswith("group first: "), held["reason"]
    assert "gate direction" in held["reason"] or "gw1 (gate " in held["reason"]
    assert {fleet.current(name)["seq"] for name in NAMES} == {1}
    assert {one["seq"] for one in answers} == {1}
