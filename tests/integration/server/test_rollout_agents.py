"""A rollout over three real agents, with a real broker and a controller that is killed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import detector_bundle
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import BASE_MS
from tests.kit.rollouts.fleet import Fleet, telemetry_topic
from tests.kit.waiting import eventually

STREAM = "mass"
NAMES = ("gw1", "gw2", "gw3")
CHAMPION = detector_bundle(STREAM, 1, [1.0, 0.0], threshold=50.0)
TWIN = detector_bundle(STREAM, 2, [1.0, 0.0], threshold=50.0)
WORSE = detector_bundle(STREAM, 2, [1.0, 0.0], threshold=20.0)
GROUPS: tuple[dict[str, object], ...] = (
    {"name": "first", "gateways": ["gw1"], "soak_s": 2.0},
    {"name": "rest", "share": 1.0, "mode": "serve", "soak_s": 0.0},
)
OFTEN: dict[str, dict[str, object]] = {
    "updates": {"healthy_s": 1.0, "hint_s": 0.5},
    "shadow": {"evidence_s": 0.1},
}
ROLLOUT = "mass-2"
WAIT_S = 120.0


class Site:
    """A fleet, and a client that is its plant and hears its answers."""

    def __init__(self, fleet: Fleet, client: PlantClient) -> None:
        self.fleet, self.client, self.sent = fleet, client, 0

    def works(self) -> None:
        """Have the plant send some rows, one a block of time."""
        for number in range(self.sent, self.sent + 20):
            row = {"ts": BASE_MS + number * 1_000, "c0": float(number % 100), "c1": 1.0}
            for name in NAMES:
                self.client.publish(telemetry_topic(name), row)
        self.sent += 20

    def current(self, name: str) -> dict[str, Any]:
        """What a gateway runs."""
        return self.client.latest(f"millhand/{name}/current/{STREAM}") or {}

    def wait(self, stage: int, state: str) -> dict[str, Any]:
        """Wait, while the plant works, until a step is open, or the state reached."""

        def reached() -> dict[str, Any] | None:
            self.works()
            told = self.fleet.told(ROLLOUT)
            is_there = told.get("stage", 0) >= stage and told.get("state") == state
            return told if is_there else None

        try:
            found = eventually(reached, WAIT_S, f"stage {stage} {state}")
        except Exception:
            print(self.fleet.told(ROLLOUT), [self.current(name) for name in NAMES])  # noqa: T201  for the log
            raise
        assert found is not None
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    filters = ["plant/+/+/_inference/#", "millhand/#"]
    with (
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, filters) as client,
        Fleet(tmp_path, broker.port, NAMES, CHAMPION) as fleet,
    ):
        fleet.prepare(OFTEN)
        for gateway in fleet.gateways.values():
            gateway.start_serving()
        yield Site(fleet, client)


def test_a_good_bundle_reaches_all_agents_without_a_person_though_the_controller_is_killed(
    site: Site,
) -> None:
    server = site.fleet.server
    site.fleet.begin(ROLLOUT, TWIN, GROUPS)
    server.start()
    for stage in (1, 2, 3):
        site.wait(stage, "running")
        server.kill()
        server.start()
    told = site.wait(3, "done")
    eventually(
        lambda: {site.current(name).get("seq") for name in NAMES} == {2}, WAIT_S, "all to serve"
    )
    shown = told["groups"][0]["gateways"][0]
    assert sum(one["what"] == "takes over" for one in told["ledger"]) == 4
    assert shown["former"] == 1
    for name in NAMES:
        assert site.current(name)["rollout"]["state"] in ("serving", "probation"), name


def test_a_bundle_that_is_worse_in_the_shadow_is_held_and_never_heard(site: Site) -> None:
    site.fleet.begin(ROLLOUT, WORSE, GROUPS)
    site.fleet.server.start()
    held = site.wait(1, "held")
    answers = site.client.documents("_inference")
    assert held["stage"] == 1
    assert held["reason"].startswith("group first: "), held["reason"]
    assert "gw1" in held["reason"]
    assert any(
        f"gate {one}" in held["reason"] for one in ("disagreement", "direction", "alarm_storm")
    )
    assert {site.current(name)["seq"] for name in NAMES} == {1}
    assert {one["seq"] for one in answers} == {1}
