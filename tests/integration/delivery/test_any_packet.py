"""Whatever packet a broker sends, the agent goes on: it answers, ignores or explains it."""

import json
from pathlib import Path

import pytest

from tests.kit.broker.packets import Message, paho_publish
from tests.kit.broker.scripted import PUBACK, PUBCOMP, SUBSCRIBE, ScriptedBroker, pubrel
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.plant import BASE_MS, MASS, MASS_PIPELINE, OFTEN, TOPIC
from tests.kit.waiting import eventually

PROTOCOLS = {5: "5", 4: "3.1.1"}
OUTPUT = "plant/l1/p1/_inference/mass"
IGNORED = {
    4: {
        "SUBACK for no SUBSCRIBE": b"\x90\x03\x7f\xff\x00",
        "UNSUBACK for no UNSUBSCRIBE": b"\xb0\x02\x7f\xff",
        "PUBACK for no PUBLISH": b"\x40\x02\x7f\xff",
        "PUBREC for no PUBLISH": b"\x50\x02\x7f\xff",
        "PUBCOMP for no PUBREL": b"\x70\x02\x7f\xff",
        "PINGRESP for no PINGREQ": b"\xd0\x00",
        "PINGREQ": b"\xc0\x00",
    },
    5: {
        "SUBACK with a reason in words": b"\x90\x09\x7f\xff\x05\x1f\x00\x02no\x87",
        "UNSUBACK with reasons": b"\xb0\x06\x7f\xff\x00\x00\x11\x87",
        "PUBACK with a refusal": b"\x40\x03\x7f\xff\x87",
        "PUBREC with a refusal": b"\x50\x03\x7f\xff\x97",
        "PUBCOMP that knows no packet id": b"\x70\x03\x7f\xff\x92",
        "PINGREQ": b"\xc0\x00",
    },
}
EXPLAINED = {
    "Use another server, ServerReference 'b2.plant:1883'": (
        b"\xe0\x12\x9c\x10\x1c\x00\x0db2.plant:1883"
    ),
    "Server shutting down": b"\xe0\x01\x8b",
    "Normal disconnection": b"\xe0\x00",
    "Protocol error": b"\xf0\x00",  # AUTH, which the agent has not asked for
}
NOT_ASKED_FOR = [
    (TOPIC, b"\x0b\x07"),  # Subscription Identifier
    (TOPIC, b"\x23\x00\x01"),  # Topic Alias beside a topic
    ("", b"\x23\x00\x01"),  # Topic Alias in its place
]


def make_gateway(folder: Path, port: int, version: int) -> Gateway:
    sections: dict[str, dict[str, object]] = {
        "limits": OFTEN,
        "broker": {"reconnect_max_s": 0.2, "protocol": PROTOCOLS[version]},
    }
    gateway = Gateway(folder / "gw", port, [MASS_PIPELINE], sections=sections)
    gateway.keep(MASS)
    return gateway


def row(number: int) -> bytes:
    return json.dumps({"ts": BASE_MS + number, "c0": float(number), "c1": 1.0}).encode()


@pytest.mark.parametrize("version", PROTOCOLS)
def test_packet_that_answers_nothing_is_ignored(tmp_path: Path, version: int) -> None:
    packets = IGNORED[version]
    with ScriptedBroker(version) as broker, make_gateway(tmp_path, broker.port, version) as gateway:
        gateway.start_serving()
        for number, packet in enumerate(packets.values(), 1):
            broker.send(packet + paho_publish(version, Message(TOPIC, row(number), 1, number)))
            broker.wait_for(PUBACK, number)
        broker.send(pubrel(9))
        broker.wait_for(PUBCOMP)
        assert len(broker.published(OUTPUT)) == len(packets)
        assert gateway.log.count("INFO connected") == 1


def test_disconnect_is_explained_and_outlived(tmp_path: Path) -> None:
    with ScriptedBroker(5) as broker, make_gateway(tmp_path, broker.port, 5) as gateway:
        gateway.start_serving()
        for number, (said, packet) in enumerate(EXPLAINED.items(), 2):
            broker.send(packet)
            gateway.wait_for_log(f"connection lost: {said}")
            broker.wait_for(SUBSCRIBE, number)
        broker.send(paho_publish(5, Message(TOPIC, row(1), 1, 1)))
        broker.wait_for(PUBACK)
        assert len(broker.published(OUTPUT)) == 1


def test_properties_that_were_not_asked_for_change_nothing(tmp_path: Path) -> None:
    """They may stand in a PUBLISH (MQTT 5, 3.3.2.3)."""
    with ScriptedBroker(5) as broker, make_gateway(tmp_path, broker.port, 5) as gateway:
        gateway.start_serving()
        for number, (name, properties) in enumerate(NOT_ASKED_FOR, 1):
            head = len(name).to_bytes(2) + name.encode() + number.to_bytes(2)
            body = head + bytes([len(properties)]) + properties + row(number)
            broker.send(b"\x32" + bytes([len(body)]) + body)
            broker.wait_for(PUBACK, number)
        assert len(broker.published(OUTPUT)) == 2
        # No topic alias was allowed, so the third names no topic: it is counted, and told.
        gateway.wait_for_log('message dropped reason="no_pipeline" topic=""')


@pytest.mark.parametrize("version", PROTOCOLS)
def test_less_than_the_qos_asked_for_is_told_and_more_is_taken(
    tmp_path: Path, version: int
) -> None:
    with ScriptedBroker(version) as broker, make_gateway(tmp_path, broker.port, version) as gateway:
        broker.granted = 0
        gateway.start_serving()
        gateway.wait_for_log("grants less than the QoS asked for on plant/+/+/telemetry")
        broker.granted = 2
        broker.cut()
        gateway.wait_for_log("INFO subscribed", times=2)
        broker.send(paho_publish(version, Message(TOPIC, row(1), 2, 1)))
        assert len(eventually(lambda: broker.published(OUTPUT), 20)) == 1


def test_connack_that_grants_less_is_told(tmp_path: Path) -> None:
    with ScriptedBroker(5) as broker, make_gateway(tmp_path, broker.port, 5) as gateway:
        broker.properties = b"\x11" + (3600).to_bytes(4)  # Session Expiry Interval
        gateway.start_serving()
        broker.cut()
        gateway.wait_for_log("INFO subscribed", times=2)
        assert gateway.log.count("granted_s=3600 asked_s=86400") == 1
