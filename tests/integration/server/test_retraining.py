"""Retraining by a real server, with a real broker, a real training and a signed registry."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time_ns
from typing import Any

import pytest
import tomli_w

from models.bundle.package import load_bundle
from models.control.documents import Metrics, Status, StreamMetrics
from models.control.topics import ControlTopics
from models.training import Outcome
from serving.publishing.rollouts import read_rollouts
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.bundles.factories import make_bundle, make_manifest
from tests.kit.bundles.published import Published
from tests.kit.bundles.publishing import split_keys
from tests.kit.children import python, run
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.http.access_tokens import make_tokens
from tests.kit.model_server import ModelServer, Reply
from tests.kit.recordings import pump_folder
from tests.kit.rollouts.world import Gateway
from tests.kit.waiting import eventually

STREAM = "pump-health"
NAME = f"{STREAM}-retrain-1"
WAIT_S = 240.0
SPLIT = {"method": "time", "test": 0.5}
PLAN = {"groups": [{"name": "all", "share": 1.0, "soak_s": 0.0}]}
DRIFT = {"alarm": True, "worst": "pressure", "view": "level", "asset": "p1", "ratio": 1.7}


class Site:
    """A gateway that says there is drift, a server, and a registry with the bundle that serves."""

    def __init__(self, folder: Path, broker: Mosquitto, client: PlantClient) -> None:
        self.folder, self._client = folder, client
        self.published = Published.create(folder)
        self.recipe = pump_folder(folder / "recorded", 600, split=SPLIT)
        self._tokens = make_tokens(folder / "tokens", "admin")
        self._broker = broker
        self.gateway = Gateway("gw1", 1)
        self._now = datetime.now(UTC)

    def train_first(self) -> None:
        """Train the bundle that serves, and publish it."""
        options = ("--out", self.folder, "--champion", "none")
        run(python("trainer", "train", self.recipe, *options), WAIT_S)
        self.published.publish_file(self.folder / f"{STREAM}-1.zip")
        for path in self.recipe.parent.glob("*.csv"):  # what was recorded since
            path.write_bytes(path.read_bytes())

    def serve(self, **retraining: object) -> ModelServer:
        """The server, which is not started yet."""
        online = split_keys(self.published.keys, self.folder / "online", "online")
        template = self.folder / "template.toml"
        template.write_bytes(tomli_w.dumps(PLAN).encode())
        stream = {
            "stream": STREAM,
            "recipe": str(self.recipe),
            "plan": str(template),
            "drift_after_s": 0.2,
        }
        self.server = ModelServer(
            self.folder / "server",
            self.published,
            [{"stream": STREAM}],
            {
                "rollouts": {
                    "registry": str(self.published.folder),
                    "keys": str(online.folder),
                    "name": "c1",
                    "turn_s": 0.1,
                    "settle_s": 0.3,
                    "broker": {"host": "127.0.0.1", "port": self._broker.port},
                },
                "retraining": {"streams": [stream], "look_s": 0.1, **retraining},
                "access": {
                    "tokens_file": str(self.folder / "tokens"),
                    "open_scopes": ["infer", "read"],
                },
            },
        )
        self.server.write_config()
        return self.server

    @property
    def config(self) -> str:
        """Path of server.toml."""
        return str(self.folder / "server" / "server.toml")

    def drift_after(self, seconds: float) -> None:
        """Have drift of so many seconds propose a training, from the server's next start on."""
        retraining: dict[str, Any] = dict(self.server.sections["retraining"])
        (stream,) = retraining["streams"]
        retraining["streams"] = [{**stream, "drift_after_s": seconds}]
        self.server.sections = {**self.server.sections, "retraining": retraining}

    def trouble(self) -> str:
        """Why nothing is proposed."""
        found: str = self.server.request("GET", "/v1/retrainings").document["trouble"]
        return found

    def retrain(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `millhand-server retrain`."""
        command = python("server", "retrain", *arguments, "--config", self.config)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)

    def publishing(self) -> list[str]:
        """The command that signs plan and bundle, with the key of the targets."""
        keys = self.published.keys.folder
        return python(
            "server", "rollout", "plan", "{plan}", "--bundle", "{bundle}", "--unchecked",
            "--keys", keys, "--config", self.config,
        )  # fmt: skip

    def drift(self) -> None:
        """Publish what the gateway says: there is drift."""
        topics = ControlTopics("gw1")
        status = Status.model_construct(state="online")
        self._client.publish(topics.status, json.loads(status.to_json()), retain=True)
        current = self.gateway.says.current
        assert current is not None
        self._client.publish(
            topics.current(STREAM), {**current.model_dump(), "stream": STREAM}, retain=True
        )
        whole = Metrics(
            received=1, predicted=1, windowed=0, dropped={}, waiting=0, redelivered=0, connects=1,
            sessions_lost=0, streams={},
        )  # fmt: skip
        one = StreamMetrics(predictions={}, missing={}, forgotten_assets=0, shed=0, batch_ms=1.0)
        said = {**one.model_dump(), "drift": {**DRIFT, "watched": 1, "unwatched": 0}}
        self._client.publish(topics.metrics, {**whole.model_dump(), "streams": {STREAM: said}})

    def obey(self) -> str:
        """Have the gateway obey what is signed; the state of the rollout."""
        found = read_rollouts(self.published.folder, self.published.keys)
        self._now += timedelta(minutes=10)
        for one in found:
            self.gateway.act(one.plan, one.stage, self._now)
            self.gateway.compare(200, 0, one.plan)
            topics, said = ControlTopics("gw1"), self.gateway.says
            for topic, document in (
                (topics.current(STREAM), said.current),
                (topics.evidence(STREAM), said.evidence),
            ):
                if document is not None:
                    content = {**document.model_dump(), "stream": STREAM}
                    self._client.publish(topic, content, retain=True)
        return found[0].stage.state if found and found[0].stage else ""

    def told(self) -> Any:  # noqa: ANN401  any JSON value
        """The retraining as HTTP tells it."""
        return self.server.request("GET", f"/v1/retrainings/{NAME}").document

    def state(self) -> str:
        """Its state; empty before it was proposed."""
        found: str = self.told().get("state", "")
        return found

    def answer(self, wish: str, **said: str) -> Reply:
        """Decide over HTTP, with a token that may."""
        authorization = f"Bearer {self._tokens['admin']}"
        path = f"/v1/retrainings/{NAME}/{wish}"
        return self.server.request("POST", path, said, Authorization=authorization)

    def propose(self) -> None:
        """Say that there is drift until the server proposes a training."""

        def proposed() -> str:
            self.drift()
            return self.state()

        eventually(proposed, WAIT_S, "a proposal")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with mosquitto(tmp_path / "broker") as broker, PlantClient(broker.port, []) as client:
        yield Site(tmp_path, broker, client)


def test_drift_leads_over_consent_and_training_to_a_rollout_that_is_done(site: Site) -> None:
    site.train_first()
    with site.serve(publish=site.publishing()) as server:
        server.start()
        site.propose()
        shown = site.retrain("show", NAME)
        refused = site.answer("accept", by="", reason="season")
        accepted = site.answer("accept", by="Eva", reason="season")
        again = site.retrain("decline", NAME, "--by", "Tom", "--reason", "late")
        eventually(lambda: site.state() in ("published", "failed", "trained"), WAIT_S, "its end")
        eventually(lambda: site.obey() == "done", WAIT_S, "the rollout to be done")
        eventually(
            lambda: site.told()["ledger"][0]["state"] == "done", WAIT_S, "the report to follow"
        )
        told, listed = site.told(), site.retrain("list")
        folder = server.state_dir / "retraining" / NAME
        said = Outcome.model_validate_json((folder / "outcome.json").read_bytes())
        trained = load_bundle(folder / f"{STREAM}-2.zip")
    assert "pressure (level) of p1 at 1.70 times its limit" in shown.stdout
    assert (refused.status, accepted.status, again.returncode) == (400, 200, 1)
    assert again.stderr.startswith("retraining_state: ")
    assert said.comparison is not None
    assert said.comparison.champion == f"{STREAM}#1"
    assert said.sha256 == trained.sha256 == told["result"]["bundle"]["sha256"]
    assert told["result"]["verdict"] == said.comparison.verdict
    decided = {one["state"]: one["by"] for one in told["ledger"] if one["what"] == "retrains"}
    assert decided["proposed"] == decided["trained"] == "controller c1"
    assert decided["accepted"] == decided["training"] == decided["published"] == "Eva"
    assert next(one["by"] for one in told["ledger"] if one["what"] == "starts") == "Eva"
    assert site.gateway.seq == 2
    assert f"{NAME}: published" in listed.stdout


def test_a_killed_server_takes_its_training_along_and_begins_it_anew(site: Site) -> None:
    begun = site.folder / "begun"
    code = (
        "import os, pathlib, sys, time; "
        "pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(600)"
    )
    slow = [sys.executable, "-c", code, str(begun)]
    site.published.publish(make_bundle(make_manifest(stream=STREAM, seq=1)))
    with site.serve(command=slow) as server:
        server.start()
        site.propose()
        site.retrain("accept", NAME, "--by", "Eva", "--reason", "season")
        eventually(begun.exists, WAIT_S, "the training to begin")
        first = eventually(begun.read_text, WAIT_S, "the process to say its number")
        server.kill()
        eventually(lambda: not Path("/proc", first).exists(), WAIT_S, "the training to end")
        begun.unlink()
        server.start()
        second = eventually(lambda: begun.exists() and begun.read_text(), WAIT_S, "another try")
        eventually(lambda: site.state() == "training", WAIT_S, "the report to follow")
        tried = [one["state"] for one in site.told()["ledger"]][::-1]
    eventually(lambda: not Path("/proc", str(second)).exists(), WAIT_S, "the stop to end it")
    assert tried == ["proposed", "accepted", "training", "accepted", "training"]
    assert second != first


def test_drift_goes_on_counting_over_a_restart_of_the_server(site: Site) -> None:
    site.published.publish(make_bundle(make_manifest(stream=STREAM, seq=1)))
    with site.serve() as server:
        kept = server.state_dir / "retraining" / "drift.json"

        def is_kept() -> bool:
            site.drift()
            return kept.exists()

        site.drift_after(3600.0)
        server.start()
        eventually(is_kept, WAIT_S, "the drift to be heard")
        server.stop()
        began_ns = json.loads(kept.read_text())["lasting"][0]["began_ns"]
        eventually(lambda: time_ns() > began_ns + 2 * 10**9, WAIT_S, "drift of two seconds")
        site.drift_after(2.0)
        server.start()
        eventually(lambda: not site.trouble(), WAIT_S, "the server to hear the gateways")
        site.drift()  # once: if it began here, it would never have lasted
        eventually(site.state, WAIT_S, "a proposal")
        told = site.told()
    assert told["state"] == "proposed"
    assert "pressure (level) of p1 at 1.70 times its limit" in told["reason"]
