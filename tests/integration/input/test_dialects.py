"""Each dialect from the sensor's message to the prediction, all in one agent."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import cbor2
import msgpack
import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import detector_bundle, linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import BASE_MS, OFTEN, Plant, serving

WEIGHTS = [1.0, 10.0]
OUTPUT = {"topic": "plant/{line}/{asset}/_inference/{stream}"}
NAMES = {"c0": "Pressure", "c1": "Flow"}


def pipeline(stream: str, *inputs: dict[str, object], **output: object) -> dict[str, object]:
    return {"stream": stream, "inputs": list(inputs), "output": OUTPUT | output}


def packed(document: object) -> bytes:
    return gzip.compress(json.dumps(document).encode())


WRITERS: dict[str, Callable[[object], bytes]] = {
    "gzip": packed,
    "cbor": cbor2.dumps,
    "msgpack": msgpack.packb,
}


def encoded(encoding: str) -> dict[str, object]:
    return {
        "topic": f"plant/{{line}}/{{asset}}/{encoding}",
        "encoding": encoding,
        "timestamp": "ts",
        "signals": {"c0": "a.pressure", "c1": "flow"},
    }


PIPELINES: list[dict[str, object]] = [
    telemetry_pipeline("mass"),
    telemetry_pipeline("detector") | {"output": OUTPUT | {"scalars": True}},
    pipeline(
        "nested",
        {
            "topic": "plant/{line}/{asset}/nested",
            "signals": {"c0": "hydraulics.pressure", "c1": "hydraulics.inlet.flow"},
            "timestamp": "meta.time",
            "timestamp_unit": "iso8601",
            "quality": "meta.quality",
        },
        *map(encoded, WRITERS),
    ),
    pipeline(
        "plain",
        {
            "topic": "plant/{line}/{asset}/plain/{signal}",
            "dialect": "scalar",
            "signals": NAMES,
        },
    ),
    pipeline(
        "boxed",
        {
            "topic": "plant/{line}/{asset}/boxed/{signal}",
            "dialect": "scalar",
            "value": "reading.v",
            "timestamp": "t",
            "timestamp_unit": "s",
            "quality": "q",
        },
    ),
    pipeline(
        "umh",
        {
            "topic": "umh/v1/acme/{line}/{asset}/_historian/{signal}",
            "dialect": "umh",
            "signals": NAMES,
        },
    ),
    pipeline(
        "board",
        {
            "topic": "v1/{line}/devices/{asset}/telemetry",
            "dialect": "thingsboard",
            "signals": NAMES,
        },
    ),
    {"stream": "rooted", "inputs": [{"topic": "/neuron/{node}/{group}"}]},
    {"stream": "deep", "inputs": [{"topic": "acme/{site}/{path...}"}]},
    pipeline(
        "hub",
        {
            "topic": "hub/{line}",
            "dialect": "scalar",
            "asset": "deviceName",
            "signal": "tagName",
            "value": "value",
            "timestamp": "timestamp",
            "signals": NAMES,
        },
    ),
    pipeline(
        "numbered",
        {"topic": "plant/{line}/{asset}/numbered", "sequence": "n"},
    ),
    pipeline(
        "local",
        {
            "topic": "plant/{line}/{asset}/local",
            "timestamp": "Time",
            "timestamp_unit": "iso8601",
            "timezone": "Europe/Berlin",
            "quality": "qc",
            "quality_map": "siemens_qc",
        },
    ),
    pipeline(
        "mixed",
        {
            "topic": "plant/{line}/{asset}/drive",
            "signals": {"c0": "load"},
            "timestamp": "ns",
            "timestamp_unit": "ns",
        },
        {
            "topic": "lab/{line}/{asset}/viscosity",
            "dialect": "scalar",
            "signals": {"c1": "viscosity"},
            "value": "value",
            "timestamp": "us",
            "timestamp_unit": "us",
        },
    ),
]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("dialects")
    with mosquitto(folder / "broker") as broker:
        gateway = Gateway(folder / "gw", broker.port, PIPELINES, sections={"limits": OFTEN})
        for one in PIPELINES:
            gateway.keep(linear_bundle(str(one["stream"]), 1, WEIGHTS))
        gateway.keep(detector_bundle("detector", 1, WEIGHTS, threshold=15.0))
        with serving(gateway) as plant:
            yield plant
            plant.wait_for_metrics(waiting=0, dropped={})


def answers(plant: Plant, stream: str, count: int, asset: str = "l1/p1") -> list[dict[str, Any]]:
    topic = f"plant/{asset}/_inference/{stream}"

    def arrived() -> list[bytes]:
        return [payload for name, payload in list(plant.client.messages) if name == topic]

    plant.wait(lambda: len(arrived()) >= count, f"{count} answers on {topic}")
    found = [json.loads(payload) for payload in arrived()]
    assert len(found) == count
    assert {answer["asset"] for answer in found} == {asset}
    assert {answer["stream"] for answer in found} == {stream}
    return found


def test_json_with_nested_signals_time_and_quality(plant: Plant) -> None:
    document = {
        "meta": {"time": "2026-01-02T03:04:05.678+01:00", "quality": "Uncertain_LastUsable"},
        "hydraulics": {"pressure": 4, "inlet": {"flow": 2.5, "unit": "l/min"}},
        "other": [1, "two", None],
    }
    plant.client.publish("plant/l1/p1/nested", document)
    (answer,) = answers(plant, "nested", 1)
    assert answer["value"] == 29.0
    assert answer["quality"] == "UNCERTAIN"
    assert answer["timestamp"] == 1_767_319_445_678
    assert (answer["version"], answer["seq"]) == ("1.0.1", 1)
    assert answer["latency_ms"] >= 0
    assert answer["input_age_ms"] > 0


def test_scalar_as_plain_text_takes_the_time_of_arrival(plant: Plant) -> None:
    before = time.time_ns() // 1_000_000
    plant.client.publish("plant/l1/p1/plain/Pressure", "4.25")
    plant.client.publish("plant/l1/p1/plain/Flow", b" -2e1\n")
    (answer,) = answers(plant, "plain", 1)
    assert answer["value"] == 4.25 - 200.0
    assert before <= answer["timestamp"] <= time.time_ns() // 1_000_000
    assert answer["quality"] == "GOOD"


def test_scalar_as_json_has_value_time_and_quality(plant: Plant) -> None:
    first, second = BASE_MS // 1000, BASE_MS / 1000 + 0.123
    plant.client.publish("plant/l1/p1/boxed/c1", {"t": first, "reading": {"v": 2}, "q": 192})
    plant.client.publish("plant/l1/p1/boxed/c0", {"t": second, "reading": {"v": 1.5}})
    (answer,) = answers(plant, "boxed", 1)
    assert (answer["value"], answer["quality"]) == (21.5, "GOOD")
    assert answer["timestamp"] == BASE_MS + 123


@pytest.mark.parametrize(
    ("topic", "asset", "output"),
    [
        ("/neuron/n1/g1", "n1/g1", "/neuron/n1/g1/_inference/rooted"),
        ("acme/s1/hall/line/p1", "s1/hall/line/p1", "_inference/deep/acme/s1/hall/line/p1"),
        ("acme/s1/p1", "s1/p1", "_inference/deep/acme/s1/p1"),
    ],
    ids=["leading slash", "deep topic", "topic of one level"],
)
def test_topic_of_another_form_is_answered(
    plant: Plant, topic: str, asset: str, output: str
) -> None:
    with PlantClient(plant.gateway.port, [output]) as scada:
        plant.client.publish(topic, {"c0": 1, "c1": 2})
        plant.wait(lambda: bool(scada.messages), f"an answer on {output}")
        answer = json.loads(scada.messages[0][1])
    assert (answer["asset"], answer["value"]) == (asset, 21.0)


def test_devices_that_share_a_topic_are_told_apart(plant: Plant) -> None:
    for device, tag, value in (
        ("p1", "Pressure", 1.0),
        ("p2", "Pressure", 5.0),
        ("p2", "Flow", 6.0),
        ("p1", "Flow", 2.0),
    ):
        message = {"deviceName": device, "tagName": tag, "value": value, "timestamp": BASE_MS}
        plant.client.publish("hub/l1", message)
    for asset, value in (("l1/p1", 21.0), ("l1/p2", 65.0)):
        (answer,) = answers(plant, "hub", 1, asset)
        assert answer["value"] == value


def test_umh_historian(plant: Plant) -> None:
    topic = "umh/v1/acme/l1/p1/_historian"
    plant.client.publish(f"{topic}/Pressure", {"timestamp_ms": BASE_MS, "value": 3.0})
    plant.client.publish(f"{topic}/Flow", {"timestamp_ms": BASE_MS + 1, "value": 2})
    (answer,) = answers(plant, "umh", 1)
    assert (answer["value"], answer["timestamp"]) == (23.0, BASE_MS + 1)


def test_thingsboard_in_all_its_shapes(plant: Plant) -> None:
    topic = "v1/l1/devices/p1/telemetry"
    both = {"Pressure": 1.0, "Flow": 2.0, "firmware": "1.2"}
    plant.client.publish(topic, {"ts": BASE_MS, "values": both})
    later, latest = {"ts": BASE_MS + 1, "values": both}, {"ts": BASE_MS + 2, "values": both}
    plant.client.publish(topic, json.dumps([latest, {"ts": BASE_MS, "values": {"x": 1}}, later]))
    plant.client.publish(topic, both)
    found = answers(plant, "board", 4)
    assert [answer["value"] for answer in found] == 4 * [21.0]
    assert [answer["timestamp"] - BASE_MS for answer in found[:3]] == [0, 1, 2]
    assert found[3]["timestamp"] > BASE_MS + 2, "without a time it is that of arrival"
    assert len({answer["id"] for answer in found}) == 4


def test_equal_rows_without_a_time_are_told_apart_by_their_sequence(plant: Plant) -> None:
    for number in range(100):
        plant.client.publish("plant/l1/p1/numbered", {"n": number, "c0": 1.0, "c1": 2.0})
    found = answers(plant, "numbered", 100)
    assert {answer["value"] for answer in found} == {21.0}
    assert len({answer["id"] for answer in found}) == 100


def test_local_time_and_quality_of_siemens_are_read_as_they_are_meant(plant: Plant) -> None:
    for number, code in enumerate((3, 2, 1, 0)):
        document = {"Time": f"2025-10-09T10:53:2{number}", "qc": code, "c0": 1.0, "c1": 2.0}
        plant.client.publish("plant/l1/p1/local", document)
    found = answers(plant, "local", 4)
    assert [answer["timestamp"] for answer in found] == [
        1_760_000_000_000 + 1000 * number for number in range(4)
    ]
    assert [answer["value"] for answer in found[:3]] == [21.0] * 3
    qualities = [answer["quality"] for answer in found]
    assert qualities[:3] == ["GOOD", "GOOD", "UNCERTAIN"]
    assert qualities[3] != "GOOD"


@pytest.mark.parametrize("encoding", WRITERS)
def test_document_in_another_encoding_is_answered(plant: Plant, encoding: str) -> None:
    document = {"ts": BASE_MS, "a": {"pressure": 4.25}, "flow": 2, "note": "none", "on": True}
    plant.client.publish(f"plant/l1/{encoding}/{encoding}", WRITERS[encoding](document))
    (answer,) = answers(plant, "nested", 1, f"l1/{encoding}")
    assert (answer["value"], answer["timestamp"], answer["quality"]) == (24.25, BASE_MS, "GOOD")


def test_several_inputs_of_one_pipeline_make_one_sample(plant: Plant) -> None:
    plant.client.publish("plant/l1/p1/drive", {"ns": BASE_MS * 10**6, "load": 5.0})
    plant.client.publish("lab/l1/p1/viscosity", {"us": BASE_MS * 10**3 + 500, "value": 1.0})
    plant.client.publish("lab/l1/p2/viscosity", {"us": BASE_MS * 10**3, "value": 2.0})
    plant.client.publish("plant/l1/p2/drive", {"ns": (BASE_MS + 3) * 10**6, "load": 6.0})
    (first,) = answers(plant, "mixed", 1)
    (second,) = answers(plant, "mixed", 1, asset="l1/p2")
    assert (first["value"], first["timestamp"]) == (15.0, BASE_MS)
    assert (second["value"], second["timestamp"]) == (26.0, BASE_MS + 3)


def test_two_pipelines_answer_the_same_reading_and_one_also_in_scalars(plant: Plant) -> None:
    plant.client.publish("plant/l1/p1/telemetry", {"ts": BASE_MS, "c0": 6.0, "c1": 1.0})
    plant.client.publish("plant/l1/p1/telemetry", {"ts": BASE_MS + 1, "c0": 4.0, "c1": 1.0})
    assert [answer["value"] for answer in answers(plant, "mass", 2)] == [16.0, 14.0]
    found = answers(plant, "detector", 2)
    assert [(a["value"], a["score"], a["label"]) for a in found] == [
        (1, 16.0, "abnormal"),
        (0, 14.0, "normal"),
    ]
    below = "plant/l1/p1/_inference/detector/"
    plant.wait(lambda: plant.client.count(below) >= 10, "the scalars")
    scalars: dict[str, list[bytes]] = {}
    for topic, payload in plant.client.messages:
        if topic.startswith(below):
            scalars.setdefault(topic.removeprefix(below), []).append(payload)
    times = [str(BASE_MS).encode(), str(BASE_MS + 1).encode()]
    assert scalars == {
        "value": [b"1", b"0"],
        "score": [b"16.0", b"14.0"],
        "quality": [b"GOOD", b"GOOD"],
        "timestamp": times,
        "seq": [b"1", b"1"],
    }
