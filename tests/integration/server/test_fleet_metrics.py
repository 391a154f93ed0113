"""Prometheus reads all gateways from one server, and those that are gone leave nothing behind."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.kit.broker.brokers import HOST, Mosquitto, mosquitto
from tests.kit.bundles.graphs import detector_bundle
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.model_server import ModelServer
from tests.kit.plant_page import STREAM, Browser
from tests.kit.waiting import eventually

LIMIT = 4
DIGEST = "cd" * 32
METRICS = {
    "time": "2026-11-29T10:00:00.000Z", "since": "2026-11-29T09:00:00.000Z", "received": 9,
    "predicted": 7, "windowed": 1, "dropped": {"late": 1}, "waiting": 0, "redelivered": 0,
    "connects": 1, "sessions_lost": 1,
    "streams": {
        STREAM: {
            "predictions": {"GOOD": 7}, "missing": {}, "forgotten_assets": 0, "shed": 0,
            "batch_ms": 1.5,
        }
    },
}  # fmt: skip
CURRENT = {"stream": STREAM, "state": "serving", "seq": 3, "version": "1.0.3", "sha256": DIGEST}
Found = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


class Site(NamedTuple):
    """A broker, a client that speaks as gateways do, and a server that watches."""

    broker: Mosquitto
    client: PlantClient
    server: ModelServer

    def found(self) -> Found:
        """All samples by name and labels."""
        reply = self.server.request("GET", "/metrics/fleet")
        assert reply.status == 200
        assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
        return {
            (one.name, frozenset(one.labels.items())): one.value
            for family in text_string_to_metric_families(reply.body.decode())
            for one in family.samples
        }

    def series(self, **labels: str) -> dict[str, float]:
        """The sum by name of all samples that have these labels."""
        found: dict[str, float] = {}
        for (name, has), value in self.found().items():
            if set(labels.items()) <= has:
                found[name] = found.get(name, 0) + value
        return found

    def say(self, gateway: str, state: str, *kinds: str) -> None:
        """Publish the status of a gateway, and further documents of it."""
        self.client.publish(f"millhand/{gateway}/status", {"state": state}, retain=True)
        if "current" in kinds:
            topic = f"millhand/{gateway}/current/{STREAM}"
            self.client.publish(topic, json.dumps(CURRENT), retain=True)
        if "metrics" in kinds:
            self.client.publish(f"millhand/{gateway}/metrics", json.dumps(METRICS))


def served(folder: Path, port: int, **metrics: object) -> ModelServer:
    published = Published.create(folder)
    published.publish(detector_bundle(STREAM, 1, [1.0, 10.0], threshold=50.0))
    sections: dict[str, Mapping[str, object]] = {"metrics": metrics}
    if port:
        broker = {"host": HOST, "port": port, "reconnect_max_s": 0.5}
        sections["console"] = {"broker": broker, "max_gateways": LIMIT}
    return ModelServer(folder / "home", published, [{"stream": STREAM}], sections)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with mosquitto(tmp_path / "broker") as broker:
        server = served(tmp_path, broker.port, fleet_silent_s=2.0, fleet_gone_s=2.0)
        with PlantClient(broker.port) as client, server:
            made = Site(broker, client, server.start())
            eventually(lambda: made.series()["millhand_fleet_broker_connected"] == 1)
            yield made


def test_agent_is_told_of_as_by_its_own_documents(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        server = served(tmp_path, broker.port)
        sections: dict[str, dict[str, object]] = {"limits": {"metrics_s": 0.5}}
        pipelines = [telemetry_pipeline(STREAM)]
        agent = Gateway(tmp_path / "gw1", broker.port, pipelines, sections=sections)
        agent.keep(detector_bundle(STREAM, 1, [1.0, 10.0], threshold=50.0))
        with agent, PlantClient(broker.port, ["plant/+/+/_inference/#"]) as client, server:
            site = Site(broker, client, server.start())
            agent.start_serving()
            for number in range(4):
                reading = {"ts": 1_760_000_000_000 + number, "c0": 1.0, "c1": 2.0}
                client.publish("plant/l1/p1/telemetry", reading)
            labels = {"gateway": "gw1", "stream": STREAM}
            eventually(lambda: site.series(**labels).get("millhand_predictions_total") == 4)
            stream = site.series(**labels)
            assert stream["millhand_gateway_model_info"] == 1
            assert site.series(**labels, state="serving")["millhand_stream_state"] == 1
            gateway = site.series(gateway="gw1")
            assert gateway["millhand_gateway_online"] == 1
            assert gateway["millhand_readings_received_total"] == (
                gateway["millhand_readings_total"] + gateway["millhand_waiting_readings"]
            )
            assert site.series(state="online")["millhand_fleet_gateways"] == 1
            agent.stop()
            eventually(lambda: site.series(gateway="gw1")["millhand_gateway_online"] == 0)
            assert set(site.series(gateway="gw1")) == {
                "millhand_gateway_online", "millhand_gateway_heard_timestamp_seconds",
            }  # fmt: skip


def test_gateway_that_stays_offline_has_no_series_after_a_while(site: Site) -> None:
    site.say("gw1", "online")
    site.say("gw2", "offline")
    eventually(lambda: site.series(state="gone")["millhand_fleet_gateways"] == 1)
    assert site.series(gateway="gw2") == {}
    assert site.series(gateway="gw1")["millhand_gateway_online"] == 1
    site.say("gw2", "online")
    eventually(lambda: site.series(gateway="gw2").get("millhand_gateway_online") == 1)


def test_gateway_whose_status_is_cleared_is_forgotten_by_all(site: Site) -> None:
    site.say("gw1", "online", "current")
    eventually(lambda: site.series(gateway="gw1"))
    with Browser(site.server.port) as browser:
        browser.wait_for("gateways", lambda said: said["gateways"][0]["gone"] is False)
        site.client.publish("millhand/gw1/status", b"", retain=True)
        said = browser.wait_for("gateways", lambda said: said["gateways"][0]["gone"])
    assert said["gateways"][0]["gateway"] == "gw1"
    assert site.series(gateway="gw1") == {}
    assert site.series()["millhand_fleet_gateways_cleared_total"] == 1
    assert site.server.request("GET", "/console/api/gateways").document == {"gateways": []}


def test_counters_that_are_old_are_left_out_and_what_is_retained_stays(site: Site) -> None:
    site.say("gw1", "online", "current", "metrics")
    eventually(lambda: "millhand_predictions_total" in site.series(gateway="gw1"))
    eventually(lambda: "millhand_predictions_total" not in site.series(gateway="gw1"))
    left = site.series(gateway="gw1")
    assert (left["millhand_gateway_online"], left["millhand_gateway_model_info"]) == (1, 1)


def test_gateways_beyond_the_limit_and_documents_that_cannot_be_read_are_counted(
    site: Site,
) -> None:
    for number in range(LIMIT + 3):
        site.say(f"gw{number}", "online")
    site.client.publish("millhand/gw0/status", {"state": "on fire"}, retain=True)
    name = "millhand_fleet_documents_ignored_total"
    eventually(lambda: site.series(reason="document")[name] == 1)
    assert site.series(reason="max_gateways")[name] == 3
    assert site.series(state="online")["millhand_fleet_gateways"] == LIMIT


def test_nothing_old_is_told_during_an_outage_and_only_what_comes_again_after_it(
    site: Site,
) -> None:
    site.say("gw1", "online")
    site.say("gw2", "online")
    eventually(lambda: site.series(state="online")["millhand_fleet_gateways"] == 2)
    site.broker.stop()
    eventually(lambda: site.series(state="unknown")["millhand_fleet_gateways"] == 2)
    assert site.series()["millhand_fleet_broker_connected"] == 0
    assert site.series(gateway="gw1") == site.series(gateway="gw2") == {}
    site.broker.start()
    eventually(site.client.paho.is_connected, 20.0)
    site.say("gw1", "online")
    eventually(lambda: site.series(gateway="gw1").get("millhand_gateway_online") == 1)
    # The broker keeps nothing over its restart, so that gw2 is as one that was cleared meanwhile.
    eventually(lambda: site.series(state="unknown")["millhand_fleet_gateways"] == 1)
    assert site.series(gateway="gw2") == {}


@pytest.mark.parametrize("switched_off", [{"fleet": False}, {"enabled": False}, {}])
def test_path_is_not_there_without_the_switches_or_the_page(
    tmp_path: Path, switched_off: Mapping[str, bool]
) -> None:
    # Nothing listens on port 1, and nothing needs to.
    with served(tmp_path, 1 if switched_off else 0, **switched_off) as server:
        assert server.start().request("GET", "/metrics/fleet").status == 404
