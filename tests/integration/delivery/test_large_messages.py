"""Messages that are larger than the agent takes, or than the link carries in a moment."""

import json
from pathlib import Path

import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.broker.certificates import make_certificates
from tests.kit.broker.proxy import Proxy
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import (
    BASE_MS,
    FILTERS,
    MASS,
    MASS_PIPELINE,
    OFTEN,
    STREAM,
    TOPIC,
    Plant,
    serving,
)
from tests.kit.waiting import eventually

MIB = 1 << 20
OVERSIZED = "plant/l1/p2/telemetry"
PROTOCOLS = ("3.1.1", "5")
LINK_BYTES_S = 30_000
KEEPALIVE_S = 5
RECORD_BYTES = 1 << 14  # the most that TLS encrypts together (RFC 8446, 5.1)


def make_gateway(
    folder: Path, port: int, pipeline: dict[str, object] = MASS_PIPELINE, **broker: object
) -> Gateway:
    sections: dict[str, dict[str, object]] = {"limits": OFTEN, "broker": broker}
    gateway = Gateway(folder / "gw", port, [pipeline], sections=sections)
    gateway.keep(MASS)
    return gateway


def peak_bytes(gateway: Gateway) -> int:
    """The most memory that the agent has had so far (proc_pid_status(5))."""
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_message_of_100_mb_is_not_held_and_the_others_are_answered(
    tmp_path: Path, protocol: str
) -> None:
    with (
        mosquitto(tmp_path / "broker") as broker,
        serving(make_gateway(tmp_path, broker.port, protocol=protocol)) as plant,
    ):
        plant.send(5)
        plant.wait_for_answers()
        before = peak_bytes(plant.gateway)
        for qos in (1, 2, 0):
            plant.client.publish(OVERSIZED, bytes(100 * MIB), qos)
            plant.client.flush()
            plant.send(5)
            plant.wait_for_answers()
        assert peak_bytes(plant.gateway) - before < 16 * MIB
        skipped = {"packet_too_large": 3} if protocol == "3.1.1" else {}
        plant.wait_for_metrics(predicted=20, waiting=0, dropped=skipped, connects=1)
        plant.gateway.stop()
        plant.gateway.start_serving()  # what was skipped was acknowledged, and does not come again
        plant.send(5)
        plant.wait_for_answers()
        plant.wait_for_metrics(received=5, predicted=5, waiting=0, dropped={})


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_large_reading_over_a_slow_link_arrives_on_one_connection(
    tmp_path: Path, protocol: str
) -> None:
    with mosquitto(tmp_path / "broker") as broker, Proxy(broker.port) as proxy:
        gateway = make_gateway(tmp_path, proxy.port, protocol=protocol, keepalive_s=KEEPALIVE_S)
        with PlantClient(broker.port, FILTERS) as client, gateway:
            gateway.start_serving()
            proxy.throttle(LINK_BYTES_S)
            # Three times the keep-alive, so that the broker's answer to a PINGREQ comes too late.
            row = {
                "ts": BASE_MS,
                "c0": 0.0,
                "c1": 1.0,
                "note": "x" * 3 * KEEPALIVE_S * LINK_BYTES_S,
            }
            client.publish(TOPIC, row)
            plant = Plant(gateway, client)
            plant.sent = 1
            eventually(lambda: client.count("_inference"), 60, "the answer")
            plant.send(3)
            plant.wait_for_answers()
            told = plant.wait_for_metrics(predicted=4)
    assert (told["connects"], told["redelivered"]) == (1, 0)


def test_large_reading_over_tls_arrives_where_a_record_takes_longer_than_the_keep_alive(
    tmp_path: Path,
) -> None:
    certificates = make_certificates(tmp_path / "certificates")
    ca_file = certificates.ca_file
    with mosquitto(tmp_path / "broker", tls=certificates) as broker, Proxy(broker.port) as proxy:
        gateway = make_gateway(tmp_path, proxy.port, ca_file=str(ca_file), keepalive_s=KEEPALIVE_S)
        with PlantClient(broker.port, FILTERS, ca_file=ca_file) as client, gateway:
            gateway.start_serving()
            proxy.throttle(RECORD_BYTES // (2 * KEEPALIVE_S))
            plant = Plant(gateway, client)
            plant.send()  # what the proxy had begun to read before is not throttled
            plant.wait_for_answers()
            row = {"ts": BASE_MS + 1, "c0": 1.0, "c1": 1.0, "note": "x" * 2 * RECORD_BYTES}
            client.publish(TOPIC, row)
            plant.sent += 1
            eventually(lambda: client.count("_inference") == plant.sent, 60, "the answer")
            proxy.throttle(None)
            told = plant.wait_for_metrics(predicted=2)
    assert (told["connects"], told["redelivered"]) == (1, 0)


def test_small_readings_faster_than_the_link_arrive_on_one_connection(tmp_path: Path) -> None:
    """At QoS 0 the broker sends without waiting: its answer to a PINGREQ is behind all of them."""
    pipeline = telemetry_pipeline(STREAM, qos=0)
    with mosquitto(tmp_path / "broker") as broker, Proxy(broker.port) as proxy:
        gateway = make_gateway(tmp_path, proxy.port, pipeline, keepalive_s=KEEPALIVE_S)
        with PlantClient(broker.port, FILTERS) as client, gateway:
            gateway.start_serving()
            proxy.throttle(LINK_BYTES_S)
            count = 3 * KEEPALIVE_S * LINK_BYTES_S // 1_000
            for number in range(count):
                row = {"ts": BASE_MS + number, "c0": float(number % 100), "c1": 1.0}
                client.publish(TOPIC, json.dumps(row | {"note": "x" * 950}), qos=0)
            eventually(lambda: client.count("_inference") >= count, 60, "every answer")
            plant = Plant(gateway, client)
            plant.sent = count
            plant.wait_for_answers()
            told = plant.wait_for_metrics(predicted=count)
    assert told["connects"] == 1
