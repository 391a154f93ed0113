"""What the edge node sends, packet by packet, and what it does with more than it can send."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from models.sparkplug.decoder import decode
from tests.kit.broker.scripted import CONNECT, DISCONNECT, PUBLISH, SUBSCRIBE, ScriptedBroker
from tests.kit.sparkplug.node import running
from tests.kit.waiting import eventually

VERSIONS = pytest.mark.parametrize(
    ("protocol", "version"), [("5", 5), ("3.1.1", 4)], ids=["MQTT 5", "MQTT 3.1.1"]
)


def births(broker: ScriptedBroker, kind: str, device: str = "") -> list[bytes]:
    return broker.published(f"spBv1.0/press-shop/{kind}/gw1" + (f"/{device}" if device else ""))


@VERSIONS
def test_session_is_clean_and_the_will_is_the_death(
    tmp_path: Path, protocol: str, version: int
) -> None:
    with ScriptedBroker(version) as broker, running(tmp_path, broker, protocol) as one:
        one.turn_until(lambda: births(broker, "NBIRTH"))
        one.node.leave()
        (connect,), (ended,) = broker.wait_for(CONNECT), broker.wait_for(DISCONNECT)
        flags = connect.body[7]
    is_clean, has_will, will_qos, is_retained = (
        flags >> 1 & 1,
        flags >> 2 & 1,
        flags >> 3 & 3,
        flags >> 5 & 1,
    )
    assert (is_clean, has_will, will_qos, is_retained) == (1, 1, 1, 0)
    assert b"gw1-sparkplug" in connect.body
    assert b"spBv1.0/press-shop/NDEATH/gw1" in connect.body
    if version == 5:
        assert b"\x11\0\0\0\0" in connect.body[10:40], "Session Expiry Interval is 0"
    assert ended.body[:1] == (b"\x04" if version == 5 else b""), "Disconnect with Will Message"
    kinds = [packet.kind for packet in broker.packets]
    assert kinds.index(SUBSCRIBE) < kinds.index(PUBLISH)
    assert kinds[-2:] == [PUBLISH, DISCONNECT]
    assert births(broker, "NDEATH"), "the death is published before the connection ends"


def test_commands_are_subscribed_to_at_qos_1(tmp_path: Path) -> None:
    with ScriptedBroker(5) as broker, running(tmp_path, broker) as one:
        one.turn_until(lambda: births(broker, "NBIRTH"))
        (asked,) = broker.wait_for(SUBSCRIBE)
    for topic in (b"spBv1.0/press-shop/NCMD/gw1", b"spBv1.0/press-shop/DCMD/gw1/+"):
        options = asked.body[asked.body.index(topic) + len(topic)]
        assert options & 3 == 1


def test_sequence_wraps_from_255_to_0(tmp_path: Path) -> None:
    with ScriptedBroker(5) as broker, running(tmp_path, broker) as one:
        for number in range(300):
            one.predict(f"p{number % 2}", number)
            one.turn_until(partial(is_sent, broker, number + 1))
    *sent, death = broker.sent(PUBLISH)
    numbers = [payload(packet.body).seq for packet in sent]
    assert payload(death.body).seq is None
    assert numbers == [number % 256 for number in range(len(numbers))]
    assert len(numbers) > 256


def is_sent(broker: ScriptedBroker, count: int) -> bool:
    return len(broker.sent(PUBLISH)) >= count


def payload(body: bytes) -> Any:  # noqa: ANN401  see decode
    return decode(body[2 + int.from_bytes(body[:2]) + 1 :])  # behind topic and properties


def test_what_waits_has_a_limit_and_the_oldest_goes(tmp_path: Path) -> None:
    with ScriptedBroker(5) as broker, running(tmp_path, broker, max_waiting=3) as one:
        for value in range(10):
            one.predict("p0", value)
        assert one.node.snapshot().waiting == 3
        assert one.node.snapshot().dropped == {"waiting_full": 7}
        one.turn_until(lambda: births(broker, "DDATA", "p0"))
        (data,) = births(broker, "DDATA", "p0")
        (birth,) = births(broker, "DBIRTH", "p0")
    values = [metric.value for metric in payload(data).metrics if isinstance(metric.value, float)]
    assert values == [7.0, 8.0]
    assert all(metric.is_historical for metric in payload(data).metrics)
    assert payload(birth).metrics[0].value == 9.0


def test_two_assets_cannot_be_one_device(tmp_path: Path) -> None:
    with ScriptedBroker(5) as broker, running(tmp_path, broker) as one:
        for asset in ("a/b", "a:b", "a/b", "c\x01"):
            one.predict(asset)
        one.turn_until(lambda: births(broker, "DBIRTH", "a:b"))
        assert one.node.snapshot().dropped == {"device_taken": 1, "device_invalid": 1}


def test_births_of_many_assets_come_before_any_data(tmp_path: Path) -> None:
    with ScriptedBroker(5) as broker, running(tmp_path, broker, max_assets=1000) as one:
        for number in range(2000):
            one.predict(f"p{number % 1000}", number)
        one.turn_until(lambda: one.node.snapshot().messages.get("DDATA") == 1000)
        eventually(lambda: len(broker.sent(PUBLISH)) == 2001)
    kinds = [packet.body[2:].split(b"/")[2] for packet in broker.sent(PUBLISH)]
    assert kinds == [b"NBIRTH", *[b"DBIRTH"] * 1000, *[b"DDATA"] * 1000, b"NDEATH"]
