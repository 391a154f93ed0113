"""The statements of Sparkplug 3.0.0 for edge nodes, by their ids, on two recorded sessions.

One session is over MQTT 5, and breaks off; one is over MQTT 3.1.1, with a primary host that goes. A
statement holds if it does in both. docs/sparkplug-statements.md lists them all.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.kit.broker.scripted import PUBLISH, Packet
from tests.kit.sparkplug.host import Payload
from tests.kit.sparkplug.play import BASE, Session, recorded
from tests.kit.sparkplug.statements import BY_ID


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> list[Session]:
    return [recorded(tmp_path_factory.mktemp("node"), version) for version in (5, 4)]


@pytest.mark.parametrize("statement", BY_ID)
def test_statement_holds(statement: str, sessions: list[Session]) -> None:
    assert [one.version for one in sessions if not BY_ID[statement](one)] == []


def clear_types(payload: Any) -> None:  # noqa: ANN401  of the runtime
    for metric in payload.metrics:
        metric.ClearField("datatype")


def name_all(payload: Any) -> None:  # noqa: ANN401  as above
    for metric in payload.metrics:
        metric.name = "Node Control/Rebirth"


def give_one_alias(payload: Any) -> None:  # noqa: ANN401  as above
    for metric in payload.metrics:
        metric.alias = 1


def turn_round(payload: Any) -> None:  # noqa: ANN401  as above
    found = [*payload.metrics][::-1]
    del payload.metrics[:]
    payload.metrics.extend(found)


def change_numbers(payload: Any) -> None:  # noqa: ANN401  as above
    for metric in payload.metrics:
        metric.long_value = 77


def change_qualities(payload: Any) -> None:  # noqa: ANN401  as above
    for metric in payload.metrics:
        for value in metric.properties.values:
            value.int_value = 64


def set_back(payload: Any) -> None:  # noqa: ANN401  as above
    payload.timestamp -= 3_600_000


def count_twice(payload: Any) -> None:  # noqa: ANN401  as above
    payload.seq = 2 * payload.seq + 1


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (clear_types, "topics-nbirth-metrics topics-dbirth-metrics payloads-metric-datatype-req"),
        (name_all, "payloads-alias-data-cmd-requirement case-sensitivity-metric-names"),
        (give_one_alias, "payloads-alias-uniqueness"),
        (turn_round, "operational-behavior-data-publish-dbirth-order"),
        (change_numbers, "payloads-nbirth-bdseq-repeat"),
        (change_qualities, "payloads-propertyset-quality-value-value"),
        (set_back, "topics-ddata-timestamp payloads-timestamp-in-UTC"),
        (count_twice, "topics-nbirth-seq-num topics-ddata-seq-num"),
    ],
    ids=["types", "names", "aliases", "order", "bdSeq", "qualities", "times", "seq"],
)
def test_messages_that_break_a_statement_are_noticed(
    change: Callable[[Any], None], broken: str, sessions: list[Session]
) -> None:
    for session in sessions:
        packets = [changed(session, one, change) for one in session.packets]
        other = replace(session, packets=packets)
        assert [one for one in broken.split() if BY_ID[one](other)] == []


def changed(session: Session, packet: Packet, change: Callable[[Any], None]) -> Packet:
    """The packet with another payload, if it is a message."""
    if packet.kind != PUBLISH:
        return packet
    at = 2 + int.from_bytes(packet.body[:2]) + (session.version == 5)
    payload = Payload.FromString(packet.body[at:])
    change(payload)
    return packet._replace(body=packet.body[:at] + payload.SerializeToString())


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        ("NBIRTH", "principles-birth-certificates-order payloads-sequence-num-incrementing"),
        ("DBIRTH", "payloads-ddata-order topics-dbirth-metric-reqs"),
        ("NDEATH", "operational-behavior-edge-node-intentional-disconnect-ndeath"),
        ("DDEATH", "operational-behavior-device-ddeath"),
    ],
    ids=["births of the node", "births of devices", "deaths of the node", "deaths of devices"],
)
def test_messages_that_are_missing_are_noticed(
    kind: str, broken: str, sessions: list[Session]
) -> None:
    topic = f"{BASE}/{kind}/".encode()
    for session in sessions:
        packets = [
            one for one in session.packets if one.kind != PUBLISH or topic not in one.body[:60]
        ]
        other = replace(session, packets=packets)
        assert [one for one in broken.split() if BY_ID[one](other)] == []
