"""A gateway in a rollout: it obeys what is signed, says what it does, and answers all the while."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models.bundle.package import Bundle
from models.rollout.plan import Plan
from models.rollout.stage import Stage
from serving.publishing.rollouts import publish_plan, write_stage
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.evil import evil_bundle
from tests.kit.gateway.mqtt_client import PlantClient, push
from tests.kit.waiting import eventually

STREAM = "mass"
WAIT_S = 60.0
DESIRED = f"millhand/gw1/desired/{STREAM}"


class Site:
    """A registry, a broker, and the gateway gw1."""

    def __init__(self, published: Published, client: PlantClient, gateway: Gateway) -> None:
        self.published, self.client, self.gateway = published, client, gateway
        self.sent = 0

    def plan(self, rollout: str, bundle: Bundle, **more: object) -> None:
        """Publish a bundle with its plan: gw1 first, on probation at once, then all others."""
        groups: list[dict[str, object]] = [
            {"name": "first", "gateways": ["gw1"], "mode": "serve", "soak_s": 0},
            {"name": "rest", "share": 1.0, "mode": "serve", "soak_s": 0},
        ]
        fields: dict[str, object] = {
            "id": rollout,
            "stream": STREAM,
            "seq": bundle.manifest.seq,
            "groups": groups,
        }
        deadline = datetime.now(UTC) + timedelta(days=1)
        plan = Plan.model_validate({"deadline": deadline, **fields, **more})
        publish_plan(self.published.folder, plan, self.published.keys, bundle=bundle)

    def stage(self, rollout: str, epoch: int, stage: int, state: str = "running") -> None:
        """Sign a stage, and give the gateway a hint."""
        fields = {"rollout": rollout, "stream": STREAM, "epoch": epoch, "stage": stage}
        signed = Stage.model_validate({**fields, "state": state, "time": datetime.now(UTC)})
        write_stage(self.published.folder, self.published.keys, signed)
        self.hint(rollout, epoch, stage, state)

    def hint(self, rollout: str, epoch: int, stage: int, state: str = "running") -> None:
        hint = {"id": rollout, "epoch": epoch, "stage": stage, "state": state}
        self.client.publish(DESIRED, {"stream": STREAM, "rollout": hint}, retain=True)

    def current(self) -> dict[str, Any]:
        return self.client.latest(f"millhand/gw1/current/{STREAM}") or {}

    def wait_for(self, state: str, seq: int | None) -> dict[str, Any]:
        """Wait until the gateway says this of the rollout, and return what it says."""

        def said() -> dict[str, Any] | None:
            current = self.current()
            rollout: dict[str, Any] = current.get("rollout") or {}
            return rollout if (rollout.get("state"), current.get("seq")) == (state, seq) else None

        found = eventually(said, WAIT_S, f"{state} {seq}: {self.current()}\n{self.gateway.log}")
        assert found is not None
        return found

    def answered_by(self, value: float = 1.0) -> int:
        """Publish a row; returns the number of the bundle that has answered it."""
        self.sent += 1
        time = 1_700_000_000_000 + self.sent
        self.client.publish("p1/telemetry", {"ts": time, "c0": value})

        def answer() -> int | None:
            found = self.client.documents("p1/answer")
            return next((one["seq"] for one in found if one["timestamp"] == time), None)

        seq = eventually(answer, WAIT_S, f"an answer:\n{self.gateway.log}")
        assert seq is not None
        return seq


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A gateway that serves bundle 1, and a registry with it."""
    published = Published.create(tmp_path)
    first = linear_bundle(STREAM, 1, [1.0])
    published.publish(first)
    pipeline: dict[str, object] = {
        "stream": STREAM,
        "inputs": [{"topic": "{asset}/telemetry", "dialect": "json", "timestamp": "ts", "qos": 1}],
        "output": {"topic": "{asset}/answer"},
    }
    sections: dict[str, dict[str, object]] = {"updates": {"healthy_s": 1.0, "hint_s": 0.5}}
    with (
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, ["+/answer", "millhand/gw1/#"]) as client,
        Gateway(
            tmp_path / "gw",
            broker.port,
            [pipeline],
            registry=published.url,
            root=published.keys.root,
            sections=sections,
        ) as gateway,
    ):
        gateway.keep(first, pinned=False)
        gateway.start_serving()
        yield Site(published, client, gateway)


def test_rollout_brings_a_bundle_and_its_reversal_brings_the_former_one_back(site: Site) -> None:
    site.plan("r1", linear_bundle(STREAM, 2, [2.0]))
    site.stage("r1", 1, 0)
    waiting = site.wait_for("waiting", 1)
    assert (waiting["group"], waiting["epoch"], waiting["stage"]) == ("first", 1, 0)
    assert site.answered_by() == 1
    site.stage("r1", 1, 1)
    assert site.wait_for("serving", 2)["former"] == 1
    assert site.answered_by() == 2
    assert "probation" in {
        one["rollout"]["state"] for one in site.client.documents("/current/") if "rollout" in one
    }
    site.stage("r1", 2, 1, "reverted")
    assert site.wait_for("returned", 1)["former"] == 1
    assert site.answered_by() == 1


def test_gateway_that_was_killed_and_cut_off_returns_to_its_own_former_bundle(site: Site) -> None:
    site.plan("r1", linear_bundle(STREAM, 2, [2.0]))
    site.stage("r1", 1, 1)
    site.wait_for("serving", 2)
    site.gateway.kill()
    record = site.gateway.state_dir / "rollouts" / f"{STREAM}.json"
    assert json.loads(record.read_bytes())["former"] == 1
    site.stage("r1", 2, 1, "reverted")
    site.gateway.start_serving()
    site.wait_for("returned", 1)
    assert site.answered_by() == 1


def test_word_of_the_broker_only_delays(site: Site) -> None:
    site.plan("r1", linear_bundle(STREAM, 2, [2.0]))
    site.hint("r1", 9, 2)
    site.wait_for("waiting", 1)
    site.hint("r1", 9, 2, "held")
    site.stage("r1", 1, 1, "running")
    site.hint("r1", 1, 1, "held")
    held = site.wait_for("waiting", 1)
    assert site.answered_by() == 1
    site.hint("r1", 1, 1)
    site.wait_for("serving", 2)
    assert held["group"] == "first"


def test_bundle_that_a_person_has_selected_stays(site: Site) -> None:
    push(site.client, STREAM, 1)
    site.plan("r1", linear_bundle(STREAM, 2, [2.0]))
    site.stage("r1", 1, 1)
    push(site.client, STREAM, 1)
    site.wait_for("pinned", 1)
    assert site.answered_by() == 1
    site.hint("r1", 1, 1)
    site.wait_for("serving", 2)


def test_bundle_that_fails_its_proof_is_told_and_the_former_one_serves(site: Site) -> None:
    site.plan("r1", evil_bundle("crash at load", STREAM, 2))
    site.stage("r1", 1, 1)
    failed = site.wait_for("failed", 1)
    assert failed["gate"]
    assert failed["message"]
    assert site.answered_by() == 1


def test_gateway_of_no_open_group_keeps_its_bundle_until_the_rollout_is_done(site: Site) -> None:
    groups: list[object] = [{"name": "others", "gateways": ["gw9"], "mode": "serve", "soak_s": 0}]
    site.plan("r1", linear_bundle(STREAM, 2, [2.0]), groups=groups)
    site.stage("r1", 1, 1)
    site.wait_for("waiting", 1)
    assert site.answered_by() == 1
    site.stage("r1", 2, 1, "done")
    site.wait_for("serving", 2)
    assert site.answered_by() == 2


SHADOW_FIRST: list[dict[str, object]] = [
    {"name": "first", "gateways": ["gw1"], "mode": "shadow", "soak_s": 0}
]


def evidence(site: Site) -> dict[str, Any]:
    topic = f"millhand/gw1/evidence/{STREAM}"
    found = [payload for at, payload in site.client.messages if at == topic]
    said: dict[str, Any] = json.loads(found[-1]) if found and found[-1] else {}
    return said


def test_rollout_runs_the_bundle_in_the_shadow_before_it_serves(site: Site) -> None:
    site.plan("r1", linear_bundle(STREAM, 2, [1.0]), groups=SHADOW_FIRST, gates={"block_s": 42})
    site.stage("r1", 1, 1)
    site.wait_for("shadow", 1)
    eventually(lambda: site.current().get("shadow", {}).get("seq") == 2, WAIT_S, "the shadow")
    assert site.answered_by() == 1
    said = eventually(lambda: evidence(site).get("compared") and evidence(site), WAIT_S, "evidence")
    assert said
    assert (said["rollout"], said["champion"], said["candidate"]) == ("r1", 1, 2)
    assert said["block_s"] == 42
    site.stage("r1", 1, 2)
    assert site.wait_for("serving", 2)["former"] == 1
    assert "shadow" not in site.current()
    assert site.answered_by() == 2


def test_bundle_that_fails_in_the_shadow_of_a_rollout_never_serves_there(site: Site) -> None:
    site.plan("r1", evil_bundle("NaN above 70", STREAM, 2), groups=SHADOW_FIRST)
    site.stage("r1", 1, 1)
    eventually(lambda: site.current().get("shadow", {}).get("seq") == 2, WAIT_S, "the shadow")
    assert site.answered_by(80.0) == 1
    assert site.wait_for("failed", 1)["gate"] == "not_finite"
    site.stage("r1", 1, 2)
    eventually(
        lambda: site.current().get("rollout", {}).get("stage") == 2, WAIT_S, "the next stage"
    )
    assert site.wait_for("failed", 1)["gate"] == "not_finite"
    assert site.answered_by(80.0) == 1
