"""The fleet in a browser: what runs where, by groups of rollouts, what is abnormal first."""

import json
from collections.abc import Iterator

import pytest

from serving.gates.evidence import Limits
from tests.kit.broker.brokers import mosquitto
from tests.kit.browser import browser
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.plant_page import overview, page_server
from tests.kit.plant_view import STREAM, PlantView
from tests.kit.waiting import eventually

DIGEST = "ef" * 32
TIME = "2026-11-29T03:00:00.000Z"
ROLLOUT: dict[str, object] = {"id": "r7", "epoch": 1, "stage": 2}
RUNNING: dict[str, object] = {
    "stream": STREAM, "state": "serving", "seq": 1, "version": "1.0.1", "sha256": DIGEST,
}  # fmt: skip
DEGRADED = {"state": "degraded", "reason": "model_failed", "message": "the runtime says no"}
EVIDENCE = {
    "stream": STREAM, "rollout": "r7", "champion": 1, "candidate": 2, "since": TIME, "time": TIME,
    "block_s": 600.0, "compared": 5000,
}  # fmt: skip
DRIFT = {
    "alarm": True, "worst": "flow", "view": "level", "asset": "l1/p7", "ratio": 2.5,
    "watched": 1, "unwatched": 0,
}  # fmt: skip
GATEWAYS = "/console/api/gateways"


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlantView]:
    folder = tmp_path_factory.mktemp("fleet")
    with (
        mosquitto(folder / "broker") as broker,
        PlantClient(broker.port) as client,
        page_server(folder, broker.port) as server,
        browser(folder / "profile") as chromium,
    ):
        server.start()
        eventually(lambda: overview(server)["broker"]["connected"])
        yield PlantView(chromium, server, broker, client)


@pytest.fixture(autouse=True)
def _no_gateway_is_left(view: PlantView) -> Iterator[None]:
    yield
    for one in view.server.request("GET", GATEWAYS).document["gateways"]:
        for topic in (f"current/{STREAM}", f"evidence/{STREAM}", "status"):
            view.client.publish(f"millhand/{one['gateway']}/{topic}", b"", retain=True)
    eventually(lambda: view.server.request("GET", GATEWAYS).document["gateways"] == [])


def say(
    view: PlantView, gateway: str, current: dict[str, object] | None = None, state: str = "online"
) -> None:
    """Publish the status of a gateway, and what it runs."""
    status = {"state": state, "version": "1.0", "since": TIME}
    view.client.publish(f"millhand/{gateway}/status", status, retain=True)
    topic = f"millhand/{gateway}/current/{STREAM}"
    view.client.publish(topic, RUNNING | (current or {}), retain=True)


def count(view: PlantView, gateway: str, **stream: object) -> None:
    """Publish the counters of a gateway."""
    told = {
        "predictions": {"GOOD": 98, "BAD": 2}, "missing": {}, "forgotten_assets": 0, "shed": 0,
        "batch_ms": 1.0, **stream,
    }  # fmt: skip
    counters = {
        "time": TIME, "since": TIME, "received": 1, "predicted": 1, "windowed": 0, "dropped": {},
        "waiting": 0, "redelivered": 0, "connects": 1, "sessions_lost": 1,
        "streams": {STREAM: told},
    }  # fmt: skip
    view.client.publish(f"millhand/{gateway}/metrics", counters)


def order(view: PlantView) -> list[str]:
    """The gateways in the order of their rows."""
    return view.texts(".fleet tbody th")


def row(view: PlantView, gateway: str) -> str:
    """What is to be read in the row of a gateway; empty without one."""
    return next((one for one in view.texts(".fleet tbody tr") if gateway in one), "")


def test_every_gateway_is_in_one_list_and_what_is_abnormal_comes_first(view: PlantView) -> None:
    say(view, "gw1")
    say(view, "gw2", state="offline")
    say(view, "gw3")
    say(view, "gw4")
    say(view, "gw5", {**DEGRADED})
    say(view, "gw6", {"seq": 3, "version": "1.0.3"})
    count(view, "gw3", drift=DRIFT)
    count(view, "gw4", predictions={"GOOD": 50, "UNCERTAIN": 30, "BAD": 20})
    view.open("#/fleet")
    eventually(lambda: order(view) == ["gw5", "gw3", "gw4", "gw2", "gw1", "gw6"], 20.0)
    assert "Failing the runtime says no" in row(view, "gw5")
    assert "Drift flow of l1/p7" in row(view, "gw3")
    assert "2.5" in row(view, "gw3")
    assert "50 % good, 30 % uncertain, 20 % bad" in row(view, "gw4")
    assert "Offline" in row(view, "gw2")
    assert "Running" in row(view, "gw6")
    assert "1.0.3 #3" in row(view, "gw6")
    assert view.texts(".count-bad") == ["1 failing"]
    assert len(view.texts(".fleet-group")) == 1


def test_row_changes_without_a_reload_and_a_cleared_gateway_goes(view: PlantView) -> None:
    say(view, "gw1")
    say(view, "gw2")
    view.open("#/fleet")
    eventually(lambda: order(view) == ["gw1", "gw2"], 20.0)
    view.chromium.evaluate("window.isTheSame = true")
    say(view, "gw2", state="offline")
    eventually(lambda: order(view) == ["gw2", "gw1"])
    view.client.publish("millhand/gw2/status", b"", retain=True)
    eventually(lambda: order(view) == ["gw1"])
    assert view.chromium.evaluate("window.isTheSame") is True


def test_groups_of_a_rollout_have_their_bar_and_their_evidence_in_words(view: PlantView) -> None:
    for gateway, state in {"gw1": "serving", "gw2": "shadow", "gw3": "failed"}.items():
        part = {**ROLLOUT, "group": "first", "state": state, "gate": "storm", "message": "storms"}
        say(view, gateway, {"rollout": part})
    say(view, "gw4", {"rollout": {**ROLLOUT, "group": "rest", "state": "waiting"}})
    say(view, "gw5")
    gate = {"kind": "rate", "hits": 2, "misses": 39, "limit": 0.03, "log_e": 0.0}
    evidence = json.dumps({**EVIDENCE, "gates": {"disagreement": gate}})
    view.client.publish(f"millhand/gw2/evidence/{STREAM}", evidence, retain=True)
    view.open("#/fleet")
    eventually(lambda: len(view.texts(".fleet-group")) == 3, 20.0)
    assert sorted(view.texts(".fleet-group h2")) == [
        "Without a rollout",
        f"{STREAM}, rollout r7, group first",
        f"{STREAM}, rollout r7, group rest",
    ]
    assert view.text(".fleet-group h2").endswith("group first"), "it has a gateway that failed"
    assert sorted(view.texts(".progress p")) == [
        "Of 1 gateway: 1 waiting",
        "Of 3 gateways: 1 serving, 1 in shadow, 1 failed",
    ]
    needed = Limits(disagreement=0.03).blocks_needed(2)
    assert needed is not None
    said = f"41 of {needed} blocks, 2 disagree, limit 3 %, needs {needed - 41} more"
    eventually(lambda: said in row(view, "gw2"))
    assert "against #2" in row(view, "gw2")
    assert "Failing storms" in row(view, "gw3")
    view.client.publish(f"millhand/gw2/evidence/{STREAM}", b"", retain=True)
    eventually(lambda: "blocks" not in row(view, "gw2"))


def test_text_and_standing_filter_the_rows(view: PlantView) -> None:
    for number in range(1, 4):
        say(view, f"gw{number}", state="offline" if number == 2 else "online")
    view.open("#/fleet")
    eventually(lambda: len(order(view)) == 3, 20.0)
    view.chromium.evaluate("document.querySelector('.count-stale').click()")
    eventually(lambda: order(view) == ["gw2"])
    view.chromium.evaluate("document.querySelector('.count-stale').click()")
    view.chromium.evaluate("document.querySelector('.filter').focus()")
    view.chromium.ask("Input.insertText", text="gw3")
    eventually(lambda: order(view) == ["gw3"])
    view.chromium.ask("Input.insertText", text=" nothing")
    view.wait_for_text(".empty", "No gateway matches")
    assert order(view) == []


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize(("name", "said"), [("fleet", "98 % good"), ("gateways", "100")])
def test_view_of_gateways_fits_complains_of_nothing_and_can_be_read_by_all(
    view: PlantView, name: str, said: str, width: int
) -> None:
    say(view, "gw1", {"rollout": {**ROLLOUT, "group": "first", "state": "shadow"}})
    say(view, "gw2", state="offline")
    say(view, "gw3", {**DEGRADED})
    count(view, "gw1")
    view.open(f"#/{name}", width)
    view.wait_for_text("main", said)
    assert view.chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert view.beside == []
    assert view.chromium.complaints == []
    assert view.accessibility() == []
