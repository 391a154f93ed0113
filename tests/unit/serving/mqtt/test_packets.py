"""The codec of the hot packets, with paho's own encoder and decoder as the oracle."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet as paho_packet
from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTProtocolVersion

from agent.mqtt.client import PahoClient
from serving.mqtt.packets import (
    MalformedError,
    Publish,
    Received,
    Skipped,
    Writer,
    puback,
    pubcomp,
    pubrec,
)
from serving.mqtt.reader import Reader
from tests.kit.broker.packets import (
    Message,
    cuts,
    inbound,
    packet_ids,
    paho_publish,
    paho_read,
    publishes,
    pubrels,
    split,
    versions,
)

NOW = 7
LIMIT = 1 << 20
SMALL = 100
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


@given(versions, st.lists(inbound, min_size=1, max_size=8), cuts)
def test_what_is_longer_than_the_limit_is_skipped_and_the_rest_is_read(
    version: int, messages: list[Message], places: list[int]
) -> None:
    reader = Reader(version, SMALL)
    received: list[Received] = []
    at_qos_2: list[int] = []
    for chunk in split(b"".join(paho_publish(version, one) for one in messages), places):
        reader.feed(chunk)
        while reader.has_packets:
            block = reader.read(1, NOW)
            received += block.received
            at_qos_2 += block.at_qos_2
    assert [one.topic for one in received] == [one.topic for one in messages]
    assert [one.packet_id for one in received] == [
        one.packet_id if one.qos else 0 for one in messages
    ]
    assert at_qos_2 == [one.packet_id for one in messages if one.qos == 2]
    for got, sent in zip(received, messages, strict=True):
        if isinstance(got.payload, Skipped):
            assert len(got.payload) >= len(sent.payload)
            assert len(sent.payload) + len(sent.topic.encode()) + 5 > SMALL
        else:
            assert got.payload == sent.payload


def test_what_is_skipped_is_never_in_memory() -> None:
    reader = Reader(4, SMALL)
    tracemalloc.start()
    reader.feed(b"\x32\x80\xc2\xd7\x2f\x00\x01t\x00\x07")  # 100,000,000 bytes to come
    for _ in range(1_000):
        reader.feed(bytes(99_999))
        assert not reader.read(EVERYTHING, NOW).received
    reader.feed(bytes(1_000 - 5) + b"\xd0\x00")
    block = reader.read(EVERYTHING, NOW)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (message,) = block.received
    assert (message.topic, message.packet_id) == ("t", 7)
    assert isinstance(message.payload, Skipped)
    assert len(message.payload) == 100_000_000 - 5
    assert bytes(reader.read(EVERYTHING, NOW).others or block.others) == b"\xd0\x00"
    assert peak < 1_000_000


@given(st.lists(inbound | pubrels, max_size=8), cuts)
def test_qos_2_and_pubrel_are_told_apart_wherever_the_stream_is_cut(
    packets: list[Message | bytes], places: list[int]
) -> None:
    stream = b"".join(one if isinstance(one, bytes) else paho_publish(5, one) for one in packets)
    theirs, reader = paho_read(5, stream), Reader(5, LIMIT)
    received = 0
    at_qos_2: list[int] = []
    released: list[int] = []
    for chunk in split(stream, places):
        reader.feed(chunk)
        block = reader.read(EVERYTHING, NOW)
        received += len(block.received)
        at_qos_2 += block.at_qos_2
        released += block.released
    assert received == len(theirs.received)
    assert at_qos_2 == [one.packet_id for one in theirs.received if one.qos == 2]
    assert released == theirs.released


@pytest.mark.parametrize(
    ("encoded", "first"), [(pubrec(7), 0x50), (pubcomp(7), 0x70)], ids=["PUBREC", "PUBCOMP"]
)
def test_pubrec_and_pubcomp_say_success_in_both_versions(encoded: bytes, first: int) -> None:
    assert encoded == bytes([first, 2, 0, 7])


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
        (b"\x90\xff\xff\xff\x7f", "at most"),
        (b"\x36\x05\x00\x01t\x00\x01", "QoS 3"),
        (b"\x36\xff\xff\xff\x7f\x00\x01t\x00\x01", "QoS 3"),
        (b"\x34\x06\x00\x01t\x00\x00\x00", "packet id 0"),
        (b"\x62\x01\x00", "PUBREL"),
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
        "QoS 3",
        "QoS 3 beyond the limit",
        "packet id 0 at QoS 2",
        "PUBREL without a packet id",
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
    client = PahoClient(5, "x")
    assert "_sock_recv" in vars(Client)
    client._sock = object()  # type: ignore[assignment] # noqa: SLF001 - as if connected
    client.fed += b"\xd0\x00"
    client._ping_t = 1.0  # noqa: SLF001 - a PINGREQ waits for its answer
    client.loop_read()
    client._sock = None  # noqa: SLF001 - nothing to close
    assert (bytes(client.fed), client._ping_t) == (b"", 0.0)  # noqa: SLF001 - what PINGRESP resets
