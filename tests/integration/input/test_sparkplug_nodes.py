"""The agent reads nodes of Sparkplug B: it asks for births, keeps them, and notices deaths."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agent.journal.files import PREFIX
from models.sparkplug.datatype import DataType
from models.sparkplug.encoder import encode
from models.sparkplug.payload import BD_SEQ, Metric, Payload
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import BASE_MS, CONTROL, OFTEN, Plant
from tests.kit.waiting import eventually

PIPELINE: dict[str, object] = {
    "stream": "mass",
    "inputs": [
        {
            "topic": "spBv1.0/{group}/{type}/{node}/{device}",
            "dialect": "sparkplug",
            "rebirth": True,
            "signals": {"c0": "Hydraulics/Pressure", "c1": "Hydraulics/Flow"},
        }
    ],
}
PREDICTIONS = "_inference/mass/works/n1/press"
FILTERS = ("_inference/#", "spBv1.0/+/NCMD/+", f"{CONTROL.base}/#")


class Node(NamedTuple):
    """A node with one device, as a plant has it."""

    client: PlantClient

    def send(self, topic: str, metrics: list[Metric], seq: int | None = None) -> None:
        kind = topic.split("/", maxsplit=1)[0]
        payload = encode(Payload(BASE_MS, metrics, seq), is_birth=kind.endswith("BIRTH"))
        self.client.publish(f"spBv1.0/works/{topic}", payload, qos=0)

    def be_born(self, bd_seq: int) -> None:
        self.send("NBIRTH/n1", [_whole(BD_SEQ, bd_seq)], 0)
        births = [_double("Hydraulics/Pressure", 1, 1.0, 0), _double("Hydraulics/Flow", 2, 1.0, 0)]
        self.send("DBIRTH/n1/press", births, 1)

    def report(self, number: int, seq: int) -> None:
        at = [_double(None, 1, float(number), number), _double(None, 2, 1.0, number)]
        self.send("DDATA/n1/press", at, seq)

    def die(self, bd_seq: int) -> None:
        self.send("NDEATH/n1", [_whole(BD_SEQ, bd_seq)])

    def answers(self, count: int) -> list[dict[str, Any]]:
        return self.client.wait_for(PREDICTIONS, count)


def _double(name: str | None, alias: int, value: float, number: int) -> Metric:
    return Metric(name, alias, BASE_MS + number, DataType.DOUBLE, value)


def _whole(name: str, value: int) -> Metric:
    return Metric(name, None, BASE_MS, DataType.UINT64, value)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with mosquitto(tmp_path / "broker") as broker:
        gateway = Gateway(tmp_path / "gw", broker.port, [PIPELINE], sections={"limits": OFTEN})
        gateway.keep(linear_bundle("mass", 1, [1.0, 10.0], median=1000))
        yield gateway


def test_birth_is_asked_for_and_kept_and_a_death_is_noticed(gateway: Gateway) -> None:
    with PlantClient(gateway.port, FILTERS) as client, gateway:
        node = Node(client)
        gateway.start_serving()
        Plant(gateway, client).wait_until_online()
        node.report(1, seq=7)
        eventually(lambda: client.count("spBv1.0/works/NCMD/n1") > 0, 20, "a request for the birth")
        node.be_born(bd_seq=1)
        node.report(2, seq=2)
        assert _read(node.answers(2)) == [(0, 11.0, "GOOD"), (2, 12.0, "GOOD")]

        eventually(lambda: _is_kept(gateway), 20, "the birth and the data to be on disk")
        gateway.kill()
        eventually(lambda: _states(client)[-1] == "offline", 20, "the will of the agent")
        gateway.start_serving()
        Plant(gateway, client).wait_until_online()
        node.report(3, seq=3)
        assert _read(node.answers(3))[-1] == (3, 13.0, "GOOD"), "the aliases were kept"

        node.report(4, seq=5)
        assert _read(node.answers(4))[-1] == (4, 14.0, "UNCERTAIN"), "a message was missed"

        node.be_born(bd_seq=2)
        node.report(5, seq=2)
        node.die(bd_seq=1)
        node.die(bd_seq=2)
        # The second birth has values too, which are answered although their time is an old one.
        *_, reborn, last, stale = _read(node.answers(7))
        assert [reborn, last] == [(0, 11.0, "GOOD"), (5, 15.0, "GOOD")]
        assert (stale[0], stale[2]) == (5, "UNCERTAIN")


def _is_kept(gateway: Gateway) -> bool:
    journal = gateway.state_dir.glob(PREFIX + "*")
    return any(file.read_bytes().count(b"/n1/press") >= 2 for file in journal)


def _states(client: PlantClient) -> list[str]:
    return [one["state"] for one in client.documents(CONTROL.status)]


def _read(answers: list[dict[str, Any]]) -> list[tuple[int, float, str]]:
    return [(one["timestamp"] - BASE_MS, one["value"], one["quality"]) for one in answers]


def test_nodes_are_asked_one_after_the_other_where_the_limit_says_so(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        limits = {**OFTEN, "rebirths_per_s": 1}
        gateway = Gateway(tmp_path / "gw", broker.port, [PIPELINE], sections={"limits": limits})
        gateway.keep(linear_bundle("mass", 1, [1.0, 1.0]))
        with PlantClient(broker.port, FILTERS) as client, gateway:
            gateway.start_serving()
            Plant(gateway, client).wait_until_online()
            node = Node(client)
            for name in ("n1", "n2", "n3"):
                node.send(f"DDATA/{name}/press", [_double(None, 1, 1.0, 0)], 7)

            def counted() -> bool:
                found = client.documents(CONTROL.metrics)[-1:]
                return any(one["rebirths"]["put_off"] >= 2 for one in found)

            eventually(counted, 20.0, "requests that are put off")
            asked = [f"spBv1.0/works/NCMD/{name}" for name in ("n1", "n2", "n3")]
            eventually(lambda: all(map(client.count, asked)), 20.0, "a request to each node")
            assert client.documents(CONTROL.metrics)[-1]["rebirths"]["asked"] >= 2
