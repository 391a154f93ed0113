"""The closed loop without a person: a real agent's drift, a training, a signed plan, a rollout."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from models.bundle.package import read_bundle
from server.retraining.proposals import POLICY
from tests.kit.broker.brokers import HOST, mosquitto
from tests.kit.bundles.published import Published
from tests.kit.bundles.publishing import split_keys
from tests.kit.children import python, run
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.model_server import ModelServer
from tests.kit.recordings import pump_folder, pump_rows, write_csv
from tests.kit.waiting import eventually

STREAM = "pump-health"
NAME = f"{STREAM}-retrain-1"
WAIT_S = 240.0
ROUND = 20
LENGTH = 4  # rows of a window
FALLEN_BAR = 2.0
PLAN = {
    "gates": {"block_s": 1.0, "accept": ["direction", "rank"]},
    "groups": [{"name": "all", "share": 1.0, "soak_s": 0.0}],
}
AGENT: dict[str, dict[str, object]] = {
    "limits": {"metrics_s": 0.1},
    "updates": {"healthy_s": 1.0, "hint_s": 0.5},
    "shadow": {"evidence_s": 0.1},
}


class Site:
    """A pump whose pressure has changed, its agent, and a server that may train, sign and begin.

    Attributes:
        client: hears everything that agent and controller publish.
        server: the server, which is not started yet.
        gateway: the agent, which is not started yet.
        compared: answers that came before the bundle in the shadow was heard.
    """

    def __init__(self, folder: Path, port: int, client: PlantClient) -> None:
        self.client, self._folder = client, folder
        self._sent = self.compared = 0
        self._rows = _changed()
        self._begun_ms = int((datetime.now(UTC) - timedelta(days=30)).timestamp()) * 1000
        self._published = Published.create(folder)
        split, drift = {"method": "time", "test": 0.25}, {"window": 40}
        search = {"trials": 1, "candidates": ["linear"]}
        self._recipe = pump_folder(
            folder / "recorded", 600, split=split, drift=drift, search=search
        )
        options = ("--out", folder, "--champion", "none")
        run(python("trainer", "train", self._recipe, *options), WAIT_S)
        self._published.publish_file(folder / f"{STREAM}-1.zip")
        header = ["time", "pressure", "flow", "label"]
        write_csv(folder / "recorded" / "changed.csv", header, self._rows)
        self.server = self._server(port)
        self.gateway = Gateway(
            folder / "gw1",
            port,
            [telemetry_pipeline(STREAM, topic="plant/gw1/{asset}/telemetry")],
            registry=self._published.url,
            root=self._published.keys.root,
            sections=AGENT,
        )
        self.gateway.keep(read_bundle((folder / f"{STREAM}-1.zip").read_bytes()), pinned=False)

    def works(self) -> None:
        """Have the pump send the next rows, and wait until they are answered."""
        for number in range(self._sent, self._sent + ROUND):
            _, pressure, flow, _ = self._rows[number % len(self._rows)]
            row = {"pressure": float(pressure), "flow": float(flow)}
            at_ms = self._begun_ms + number * 1000
            self.client.publish("plant/gw1/p1/telemetry", {"ts": at_ms, **row})
        self._sent += ROUND
        answers = self._sent - LENGTH + 1
        eventually(lambda: self.client.count("_inference") >= answers, WAIT_S, "answers")

    def is_over(self) -> bool:
        """Whether the rollout has ended after the pump has worked for a while, or cannot begin."""
        self.works()
        if "shadow" in self.current():
            self.compared = self.client.count("_inference")
        ledger = self.told().get("ledger", [])
        return bool({one["state"] for one in ledger} & {"done", "held", "failed"})

    def current(self) -> dict[str, Any]:
        """What the gateway runs."""
        return self.client.latest(f"millhand/gw1/current/{STREAM}") or {}

    def told(self) -> dict[str, Any]:
        """The retraining as HTTP tells it."""
        found: dict[str, Any] = self.server.request("GET", f"/v1/retrainings/{NAME}").document
        return found

    def _server(self, port: int) -> ModelServer:
        online = split_keys(self._published.keys, self._folder / "online", "online")
        template = self._folder / "template.toml"
        template.write_bytes(tomli_w.dumps(PLAN).encode())
        config = str(self._folder / "server" / "server.toml")
        publish = python(
            "server", "rollout", "plan", "{plan}", "--bundle", "{bundle}",
            "--keys", self._published.keys.folder, "--config", config,
        )  # fmt: skip
        rollouts = {
            "registry": str(self._published.folder),
            "keys": str(online.folder),
            "name": "c1",
            "turn_s": 0.1,
            "settle_s": 0.3,
            "broker": {"host": HOST, "port": port},
        }
        stream = {
            "stream": STREAM,
            "recipe": str(self._recipe),
            "plan": str(template),
            "drift_after_s": 0.2,
        }
        retraining = {"auto": "shadow", "publish": publish, "look_s": 0.1, "streams": [stream]}
        sections = {"rollouts": rollouts, "retraining": retraining}
        made = ModelServer(self._folder / "server", self._published, [{"stream": STREAM}], sections)
        made.write_config()
        return made


def _changed() -> list[tuple[str, float, float, int]]:
    """Rows of a pump whose pressure has fallen the day after."""
    return [
        (
            str(time).replace("2025-03-01", "2025-03-02"),
            float(str(pressure)) - FALLEN_BAR,
            float(str(flow)),
            int(str(label)),
        )
        for time, pressure, flow, label in pump_rows(600, seed=1)
    ]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    filters = ["plant/+/+/_inference/#", "millhand/#"]
    with mosquitto(tmp_path / "broker") as broker, PlantClient(broker.port, filters) as client:
        yield Site(tmp_path, broker.port, client)


def test_drift_of_an_agent_leads_without_a_person_to_a_bundle_that_serves(site: Site) -> None:
    with site.gateway as gateway, site.server as server:
        gateway.start_serving()
        server.start()
        eventually(site.is_over, WAIT_S, "the rollout to end")
        ledger = site.told()["ledger"][::-1]
        assert ledger[-1]["state"] == "done", ledger[-1]["reason"]
        eventually(lambda: site.current().get("seq") == 2, WAIT_S, "seq 2 to serve")
    begun = [one["stage"] for one in ledger if one["what"] == "decides"]
    retrained = {one["state"]: one["by"] for one in ledger if one["what"] == "retrains"}
    answers = site.client.documents("_inference")
    assert list(retrained) == [
        "proposed", "accepted", "training", "trained", "publishing", "published",
    ]  # fmt: skip
    assert {one for one in retrained.values() if not one.startswith("controller")} == {POLICY}
    assert next(one["by"] for one in ledger if one["what"] == "starts") == POLICY
    assert begun == [1, 2, 2], "compares, serves, is done"
    assert "drift on 1 gateway" in ledger[0]["reason"]
    assert {one["seq"] for one in answers[: site.compared]} == {1}, "nobody hears a shadow"
