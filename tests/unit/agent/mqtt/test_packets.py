"""The codec of the hot packets, with paho's own encoder and decoder as the oracle."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet as paho_packet
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.mqtt.connection import _Client
from agent.mqtt.packets import MalformedError, Publish, Reader, Received, Writer, puback
from tests.kit.broker.packets import (
    Message,
    cuts,
    packet_ids,
    paho_publish,
    publishes,
    split,
    versions,
)

NOW = 7
LIMIT = 1 << 20
EVERYTHING = 10_000


@given(versions, publishes)
def test_publish_is_written_as_paho_writes_it(version: int, message: Message) -> None:
    ours = Writer(version).publish(
        Publish(message.topic, message.payload, message.qos, packet_id=message.packet_id)
    )
    assert ours == paho_publish(version, message)


def test_retained_and_repeated_publish_has_its_flags() -> None:
    assert Writer(5).publish(Publish("t", b"x", 1, retain=True, packet_id=1))[0] == 0x33
    assert Writer(5).publish(Publish("t", b"x", 1, packet_id=1, repeated=True))[0] == 0x3A


@given(versions, st.lists(publishes, min_size=1, max_size=8), cuts)
def test_what_paho_writes_is_read_wherever_the_stream_is_cut(
    version: int, messages: list[Message], places: list[int]
) -> None:
    stream = b"".join(paho_publish(version, message) for message in messages)
    reader = Reader(version, LIMIT)
    received: list[Received] = []
    for chunk in split(stream, places):
        reader.feed(chunk)
        received += reader.read(EVERYTHING, NOW).received
    assert received == [
        Received(
            one.topic,
            one.payload,
            one.packet_id if one.qos else 0,
            retained=False,
            repeated=False,
            at_ns=NOW,
        )
        for one in messages
    ]
    assert not reader.has_packets


@given(packet_ids, versions)
def test_puback_is_one_that_paho_reads(packet_id: int, version: int) -> None:
    packet = puback(packet_id)
    assert packet[:2] == b"\x40\x02"
    decoded = paho_packet.decode_puback(packet[0], packet[2:], MQTTProtocolVersion(version))
    assert (decoded.mid, decoded.reason.value) == (packet_id, 0)


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (b"\x40\x02\x00\x07", (7, 0)),
        (b"\x40\x03\x00\x07\x87", (7, 0x87)),
        (b"\x40\x04\x00\x07\x10\x00", (7, 0x10)),
    ],
    ids=["no reason", "reason", "reason and properties"],
)
def test_puback_is_read_with_its_reason(packet: bytes, expected: tuple[int, int]) -> None:
    reader = Reader(5, LIMIT)
    reader.feed(packet)
    assert reader.read(EVERYTHING, NOW).confirmations == [expected]


def test_properties_of_a_publish_are_passed_over() -> None:
    properties = b"\x26\x00\x01a\x00\x01b"
    body = b"\x00\x01t" + bytes([len(properties)]) + properties + b"payload"
    reader = Reader(5, LIMIT)
    reader.feed(bytes([0x39, len(body)]) + body)
    (found,) = reader.read(EVERYTHING, NOW).received
    assert (found.payload, found.retained, found.repeated) == (b"payload", True, True)


def test_other_packets_are_left_whole_and_in_order() -> None:
    connack, pingresp = b"\x20\x03\x00\x00\x00", b"\xd0\x00"
    reader = Reader(5, LIMIT)
    reader.feed(connack + Writer(5).publish(Publish("t", b"x", 0)) + pingresp)
    block = reader.read(EVERYTHING, NOW)
    assert bytes(block.others) == connack + pingresp
    assert len(block.received) == 1


def test_no_more_is_taken_out_than_asked_for() -> None:
    reader = Reader(5, LIMIT)
    reader.feed(Writer(5).publish(Publish("t", b"x", 0)) * 5)
    assert [len(reader.read(2, NOW).received) for _ in range(4)] == [2, 2, 1, 0]
    assert not reader.has_packets


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (b"\x30\xff\xff\xff\xff\x01", "four bytes"),
        (b"\x30\xff\xff\xff\x7f", "at most"),
        (b"\x34\x05\x00\x01t\x00\x01", "QoS 2"),
        (b"\x30\x01\x00", "without a topic"),
        (b"\x32\x03\x00\x01t", "packet id"),
        (b"\x32\x06\x00\x01t\x00\x00\x00", "packet id 0"),
        (b"\x30\x03\x00\x01t", "without properties"),
        (b"\x30\x05\x00\x01t\x05x", "shorter"),
        (b"\x30\x04\x00\x01t\xff", "does not end"),
        (b"\x30\x04\x00\x09tt", "without properties"),
        (b"\x40\x01\x00", "packet id"),
    ],
    ids=[
        "length of five bytes",
        "length beyond the limit",
        "QoS 2",
        "no topic",
        "no packet id",
        "packet id 0",
        "no properties",
        "properties cut off",
        "length of properties cut off",
        "topic cut off",
        "PUBACK without a packet id",
    ],
)
def test_malformed_packet_ends_the_stream(packet: bytes, said: str) -> None:
    reader = Reader(5, LIMIT)
    reader.feed(packet)
    with pytest.raises(MalformedError, match=said):
        reader.read(EVERYTHING, NOW)


@given(st.binary(max_size=200), versions)
def test_no_bytes_raise_anything_else(content: bytes, version: int) -> None:
    reader = Reader(version, LIMIT)
    reader.feed(content)
    try:
        block = reader.read(EVERYTHING, NOW)
    except MalformedError:
        return
    assert len(block.others) <= len(content)


def test_topic_that_is_no_utf8_is_empty() -> None:
    reader = Reader(4, LIMIT)
    reader.feed(b"\x30\x03\x00\x01\xff")
    assert reader.read(EVERYTHING, NOW).received[0].topic == ""


def test_many_long_topics_are_not_kept() -> None:
    reader = Reader(4, LIMIT)
    tracemalloc.start()
    for number in range(100):
        topic = b"%065535d" % number
        reader.feed(b"\x30\x81\x80\x04\xff\xff" + topic)
        (received,) = reader.read(EVERYTHING, NOW).received
        assert received.topic == topic.decode()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000_000


def test_paho_still_reads_through_the_method_that_is_overridden() -> None:
    client = _Client(CallbackAPIVersion.VERSION2, client_id="x")
    assert "_sock_recv" in vars(Client)
    client._sock = object()  # type: ignore[assignment] # noqa: SLF001 - as if connected
    client.fed += b"\xd0\x00"
    client._ping_t = 1.0  # noqa: SLF001 - a PINGREQ waits for its answer
    client.loop_read()
    client._sock = None  # noqa: SLF001 - nothing to close
    assert (bytes(client.fed), client._ping_t) == (b"", 0.0)  # noqa: SLF001 - what PINGRESP resets
