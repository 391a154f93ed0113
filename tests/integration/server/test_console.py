"""The page's side of the server: what a real plant says arrives at browsers, live and bounded."""

import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.broker.certificates import make_certificates
from tests.kit.bundles.graphs import detector_bundle
from tests.kit.children import ROOT, python
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient, push
from tests.kit.model_server import ModelServer
from tests.kit.plant_page import (
    STREAM,
    Browser,
    asset_of,
    history,
    now_ms,
    overview,
    page_server,
    prediction,
    shown_of,
)
from tests.kit.waiting import eventually


class Plant(NamedTuple):
    """A plant with an agent, and a server whose page shows it."""

    broker: Mosquitto
    client: PlantClient
    gateway: Gateway
    server: ModelServer


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder: Path = tmp_path_factory.mktemp("plant")
    with mosquitto(folder / "broker") as broker:
        server = page_server(folder, broker.port, points_per_minute=60)
        registry = server.published
        gateway = Gateway(
            folder / "gw1",
            broker.port,
            [telemetry_pipeline(STREAM)],
            registry=registry.url,
            root=registry.keys.root,
            sections={"registry": {"poll_s": 0.5}, "limits": {"metrics_s": 0.5}},
        )
        with gateway, PlantClient(broker.port, ["plant/+/+/_inference/#"]) as client, server:
            gateway.start_serving()
            server.start_serving()
            yield Plant(broker, client, gateway, server)


def read(plant: Plant, asset: str, c0: float, c1: float = 1.0) -> None:
    """Publish one reading of an asset, now."""
    reading = {"ts": now_ms(), "c0": c0, "c1": c1}
    plant.client.publish(f"plant/{asset}/telemetry", reading)


def has_score(score: float, said: Mapping[str, Any]) -> bool:
    """Whether an event tells of this score of the asset l1/live."""
    shown = asset_of(said, "l1/live")
    return shown is not None and shown["score"] == score


def test_browser_is_told_of_every_new_prediction_without_asking(plant: Plant) -> None:
    with Browser(plant.server.port) as browser:
        browser.wait_for("broker", lambda said: said["connected"])
        for c0 in (5.0, 6.0, 90.0):
            read(plant, "l1/live", c0)
            score = c0 + 10
            said = browser.wait_for("plant", partial(has_score, score))
        shown = asset_of(said, "l1/live")
    published = plant.client.latest(f"plant/l1/live/_inference/{STREAM}")
    assert published is not None
    assert {name: shown[name] for name in published if name in shown} == {
        name: value for name, value in published.items() if name in shown
    }
    assert (shown["value"], shown["label"], shown["abnormal"]) == (1, "abnormal", True)
    assert (shown["threshold"], shown["quality"], shown["gateway"]) == (50.0, "GOOD", "gw1")
    assert shown["sparkline"][-1] == 100.0


def test_asset_without_an_answer_is_abnormal_and_says_why(plant: Plant) -> None:
    plant.client.publish(
        f"plant/l1/bad/_inference/{STREAM}",
        prediction("l1/bad", None, quality="BAD", reason="input_missing"),
    )
    shown = eventually(lambda: shown_of(plant.server, "l1/bad"))
    assert (shown["value"], shown["abnormal"]) == (None, True)
    assert (shown["quality"], shown["reason"]) == ("BAD", "input_missing")


def test_threshold_is_shown_for_the_version_that_it_belongs_to(plant: Plant) -> None:
    for seq, asset in ((1, "l1/same"), (99, "l1/other")):
        document = prediction(asset, 0, score=60.0, seq=seq)
        plant.client.publish(f"plant/{asset}/_inference/{STREAM}", document)
    same, other = (
        eventually(partial(shown_of, plant.server, f"l1/{name}")) for name in ("same", "other")
    )
    assert (same["threshold"], same["abnormal"]) == (50.0, True)
    assert (other["threshold"], other["abnormal"]) == (None, False)


def test_gateway_shows_what_runs_its_counters_and_that_they_balance(plant: Plant) -> None:
    read(plant, "l1/counted", 1.0)
    with Browser(plant.server.port) as browser:
        said = browser.wait_for("gateways", has_answered)
    (gateway,) = said["gateways"]
    assert (gateway["gateway"], gateway["online"]) == ("gw1", True)
    assert gateway["counters"]["balances"] is True
    (stream,) = gateway["streams"]
    assert (stream["stream"], stream["state"], stream["seq"]) == (STREAM, "serving", 1)


def has_answered(said: Mapping[str, Any]) -> bool:
    """Whether the first gateway of an event says that it has answered something."""
    counters = stream_of(said).get("counters")
    return counters is not None and counters["predictions"].get("GOOD", 0) > 0


def test_refused_update_is_shown_with_its_code_and_what_to_do(plant: Plant) -> None:
    push(plant.client, STREAM, 77)
    with Browser(plant.server.port) as browser:
        said = browser.wait_for("gateways", lambda said: stream_of(said)["refused"])
    stream = stream_of(said)
    assert (stream["wanted_seq"], stream["seq"]) == (77, 1)
    assert (stream["refused"]["state"], stream["refused"]["code"]) == ("refused", "not_published")
    assert "push" in stream["refused"]["remedy"].lower()
    assert said["gateways"][0]["feedback"][0]["code"] == "not_published"
    plant.client.publish(f"millhand/gw1/desired/{STREAM}", b"", retain=True)


def test_swap_of_a_model_is_marked_live_and_in_the_history(plant: Plant) -> None:
    with Browser(plant.server.port) as browser:
        browser.wait_for("gateways", lambda said: stream_of(said)["seq"] == 1)
        bundle = detector_bundle(STREAM, 2, [1.0, 10.0], threshold=50.0)
        plant.server.published.publish(bundle)
        mark = browser.wait_for("mark", lambda said: said["stream"] == STREAM)
    assert (mark["kind"], mark["seq"], mark["version"], mark["gateway"]) == (
        "swap", 2, "1.0.2", "gw1",
    )  # fmt: skip
    read(plant, "l1/marked", 1.0)
    eventually(lambda: mark in history(plant.server, "l1/marked")["marks"], 20.0)


def test_streams_say_what_their_models_need(plant: Plant) -> None:
    (stream,) = plant.server.request("GET", "/console/api/streams").document["streams"]
    assert (stream["served"], stream["task"], stream["threshold"]) == (True, "anomaly", 50.0)
    assert stream["classes"] == ["normal", "abnormal"]
    assert [one["name"] for one in stream["signals"]] == ["c0", "c1"]
    assert (stream["signals"][0]["low"], stream["signals"][0]["high"]) == (-100.0, 100.0)


IGNORED = {
    "not_json": b"{",
    "not_an_object": b"[]",
    "value": b'{"value": "1", "asset": "a", "stream": "s"}',
    "unnamed": b'{"value": 1, "asset": ["a"], "stream": "s"}',
    "too_large": b" " * 300_000 + b"{}",
}


@pytest.mark.parametrize("reason", IGNORED)
def test_message_that_is_no_prediction_is_counted_and_harms_nothing(
    plant: Plant, reason: str
) -> None:
    plant.client.publish(f"plant/l1/odd/_inference/{STREAM}", IGNORED[reason])
    eventually(lambda: overview(plant.server)["ignored"].get(reason))
    read(plant, "l1/after", 2.0)
    shown = eventually(lambda: shown_of(plant.server, "l1/after"))
    assert shown is not None
    assert shown["quality"] == "GOOD"


METRICS = {
    "received": 10**30, "predicted": 0, "windowed": 0, "dropped": {}, "waiting": 0,
    "redelivered": 0, "connects": 1, "sessions_lost": 0, "streams": {},
}  # fmt: skip
DOCUMENTS: dict[str, dict[str, Any]] = {
    "millhand/odd/status": {"state": "on fire"},
    "millhand/odd/metrics": METRICS,
    "millhand/odd/current/pump-health": {"stream": 7},
}


@pytest.mark.parametrize("topic", DOCUMENTS)
def test_document_that_cannot_be_read_is_counted_and_harms_nothing(
    plant: Plant, topic: str
) -> None:
    before = overview(plant.server)["ignored"].get("document", 0)
    plant.client.publish(topic, DOCUMENTS[topic])
    eventually(lambda: overview(plant.server)["ignored"].get("document", 0) > before)
    gateways = plant.server.request("GET", "/console/api/gateways").document["gateways"]
    assert [one["gateway"] for one in gateways] == ["gw1"]


LEFT_BEHIND = ("status", f"current/{STREAM}", f"desired/{STREAM}", f"evidence/{STREAM}")


def test_gateway_stays_away_once_all_that_it_has_left_behind_is_cleared(plant: Plant) -> None:
    status = {"state": "offline", "version": "1.0", "since": "2026-11-29T03:00:00.000Z"}
    plant.client.publish("millhand/gone/status", status, retain=True)
    plant.client.publish(f"millhand/gone/desired/{STREAM}", {"seq": 1}, retain=True)
    eventually(lambda: names(plant) == ["gone", "gw1"])
    for topic in LEFT_BEHIND:
        plant.client.publish(f"millhand/gone/{topic}", b"", retain=True)
    read(plant, "l1/cleared", 2.0)
    eventually(lambda: shown_of(plant.server, "l1/cleared"))
    eventually(lambda: names(plant) == ["gw1"])
    assert "gone" not in names(plant)


def test_stream_that_a_gateway_has_no_more_is_forgotten(plant: Plant) -> None:
    topic = "millhand/gw1/desired/left"
    plant.client.publish(topic, {"seq": 1}, retain=True)
    eventually(lambda: "left" in streams(plant))
    plant.client.publish(topic, b"", retain=True)
    eventually(lambda: "left" not in streams(plant))
    assert STREAM in streams(plant)


def gateways(plant: Plant) -> Any:  # noqa: ANN401  any JSON value
    return plant.server.request("GET", "/console/api/gateways").document["gateways"]


def names(plant: Plant) -> list[str]:
    return [one["gateway"] for one in gateways(plant)]


def streams(plant: Plant) -> list[str]:
    """The streams of the only gateway."""
    (gateway,) = gateways(plant)
    return [one["stream"] for one in gateway["streams"]]


def test_browser_that_comes_back_gets_what_is_newer_only(plant: Plant) -> None:
    plant.client.publish(f"plant/l1/old/_inference/{STREAM}", prediction("l1/old", 0))
    with Browser(plant.server.port) as browser:
        browser.wait_for("plant", lambda said: asset_of(said, "l1/old"))
        last_id = next(event.id for event in reversed(browser.seen) if event.id)
    plant.client.publish(f"plant/l1/new/_inference/{STREAM}", prediction("l1/new", 0))
    eventually(lambda: shown_of(plant.server, "l1/new"))
    with Browser(plant.server.port, last_id) as browser:
        browser.wait_for("plant", lambda said: asset_of(said, "l1/new"))
        told = [event.document for event in browser.seen if event.name == "plant"]
    assert [asset_of(said, "l1/old") for said in told] == [None] * len(told)
    assert [event.id for event in browser.seen if event.id > last_id] != []


def test_outage_of_the_broker_is_said_and_its_end_too(plant: Plant) -> None:
    with Browser(plant.server.port) as browser:
        browser.wait_for("broker", lambda said: said["connected"])
        plant.broker.stop()
        said = browser.wait_for("broker", lambda said: not said["connected"])
        assert said["reason"]
        assert overview(plant.server)["broker"]["connected"] is False
        plant.broker.start()
        browser.wait_for("broker", lambda said: said["connected"])
        eventually(plant.client.paho.is_connected, 20.0)
        plant.client.publish(f"plant/l1/again/_inference/{STREAM}", prediction("l1/again", 0))
        browser.wait_for("plant", lambda said: asset_of(said, "l1/again"))


QUESTIONS = {
    "stream=a": "lacks stream or asset",
    "stream=a&asset=b&from=x": "milliseconds",
    "stream=a&asset=b&from=5&to=5": "before",
    "stream=a&asset=b&colour=red": "colour",
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_question_to_the_history_that_makes_no_sense_is_refused(
    plant: Plant, question: str
) -> None:
    reply = plant.server.request("GET", f"/console/api/history?{question}")
    assert (reply.status, QUESTIONS[question] in reply.error) == (400, True)


def test_page_obeys_a_strict_policy_and_its_files_are_kept_by_browsers(plant: Plant) -> None:
    page = plant.server.request("GET", "/")
    assert plant.server.request("GET", "/console").body == page.body
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    again = plant.server.request("GET", "/", If_None_Match=page.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    named = plant.server.request("GET", "/console/static/index.html")
    assert named.headers["cache-control"] == "no-cache"
    assert plant.server.request("GET", "/console/static/../app.py").status == 404


def stream_of(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the first gateway of an event says of the stream."""
    (gateway,) = said["gateways"]
    return next(iter(gateway["streams"]), {"refused": None, "seq": None})


def test_login_and_tls_are_read_from_files(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path / "tls")
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    acl = "user console\ntopic read #\nuser plant\ntopic readwrite #\n"
    logins = {"console": "hunter2", "plant": "other"}
    with mosquitto(tmp_path / "broker", tls=certificates, logins=logins, acl=acl) as broker:
        access = {
            "username": "console",
            "password_file": str(password),
            "ca_file": str(certificates.ca_file),
        }
        with page_server(tmp_path, broker.port) as server:
            section: Any = server.sections["console"]
            section["broker"] |= access
            server.start()
            eventually(lambda: overview(server)["broker"]["connected"], 20.0)
            ca_file, login = certificates.ca_file, ("plant", "other")
            with PlantClient(broker.port, ca_file=ca_file, login=login) as client:
                for number in range(2000):  # each is a record of TLS of its own
                    asset = f"l1/tls-{number % 100}"
                    client.publish(f"plant/{asset}/_inference/{STREAM}", prediction(asset, number))
                eventually(lambda: (shown_of(server, "l1/tls-99") or {}).get("value") == 1999)
            assert "hunter2" not in server.log


def test_wrong_password_is_said(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("wrong")
    with (
        mosquitto(tmp_path / "broker", logins={"console": "hunter2"}) as broker,
        page_server(tmp_path, broker.port) as server,
    ):
        section: Any = server.sections["console"]
        section["broker"] |= {"username": "console", "password_file": str(password)}
        server.start()
        eventually(lambda: "Not authorized" in overview(server)["broker"]["reason"], 20.0)
        assert not overview(server)["broker"]["connected"]


def check(server: ModelServer) -> tuple[int, str]:
    """What `millhand-server check --connect` says about a server's configuration."""
    command = python("server", "check", "--connect", "--config", server.write_config())
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.returncode, done.stdout


def test_check_asks_the_broker(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        server = page_server(tmp_path, broker.port)
        code, said = check(server)
        assert (code, "subscribed to all topics" in said) == (0, True), said
    code, said = check(server)
    assert (code, "cannot be reached" in said) == (1, True), said
