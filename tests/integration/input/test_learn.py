"""`learn` drafts a configuration from recorded streams, and the agent predicts by it unedited."""

import json
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.bundle.manifest import Channel
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.corpus.encoded import WRITERS
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.commands import check
from tests.kit.gateway.learning import Learned, Publish, learn_while
from tests.kit.gateway.mqtt_client import MqttClient, PlantClient
from tests.kit.waiting import eventually

CHANNELS = (
    Channel(name="pressure", unit="bar", valid_range=(0, 16)),
    Channel(name="flow", unit="m3/h", valid_range=(0, 400)),
)
BUNDLE = linear_bundle("mass", 1, [1.0, 10.0], channels=CHANNELS)
SECONDS = "2"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "1Z")


def values(number: int) -> tuple[float, int]:
    return 4.25 + number % 3, 31


def scalars(plant: MqttClient, number: int) -> None:
    pressure, flow = values(number)
    for pump in ("l1/pump7", "l2/pump8"):
        plant.publish(f"/acme/{pump}/pressure", f"{pressure}")
        plant.publish(f"/acme/{pump}/flow/", f"{flow}")
        plant.publish(f"/acme/{pump}/flow", f"{flow}")
        plant.publish(f"/acme/{pump}/mode", "auto")


def nested(plant: MqttClient, number: int) -> None:
    pressure, flow = values(number)
    for pump in ("pump7", "pump8"):
        document = {
            "meta": {"ts": iso(now_ms()), "quality": "good", "n": number},
            "hydraulics": {"pressure": {"value": pressure, "unit": "bar"}, "flow": flow},
            "running": True,
            "password": "hunter2",
        }
        plant.publish(f"plant/l1/{pump}/telemetry", document)


def kepware(plant: MqttClient, number: int) -> None:
    pressure, flow = values(number)
    at = now_ms()
    tags = {"Channel1.Pump7.Pressure": pressure, "Channel1.Pump7.Flow": flow}
    listed = [{"id": name, "v": value, "q": True, "t": at} for name, value in tags.items()]
    plant.publish("kepware/line1", {"timestamp": at, "values": listed})


def opcua(plant: MqttClient, number: int) -> None:
    pressure, flow = values(number)
    at = iso(now_ms())
    fields = {"Pressure": pressure, "Flow": flow}
    payload = {name: {"Value": one, "SourceTimestamp": at} for name, one in fields.items()}
    message = {
        "DataSetWriterId": 1,
        "DataSetWriterName": "pump7",
        "SequenceNumber": number,
        "MessageType": "ua-keyframe",
        "Timestamp": at,
        "Payload": payload,
    }
    document = {
        "MessageId": str(number),
        "MessageType": "ua-data",
        "PublisherId": "publisher1",
        "Messages": [message],
    }
    plant.publish("opcua/publisher1", document)


def devices(plant: MqttClient, number: int) -> None:
    pressure, flow = values(number)
    for device in ("press", "drill"):
        document = {"deviceName": device, "ts": now_ms(), "pressure": pressure, "flow": flow}
        plant.publish("hub/all", document)


def sparkplug(plant: MqttClient, number: int) -> None:
    pressure, flow = values(number)
    base, sequence = "spBv1.0/plant", iter(range(256))

    def payload(*metrics: bytes) -> bytes:
        return _field(1, now_ms()) + b"".join(map(_inside, metrics)) + _field(3, next(sequence))

    plant.publish(f"{base}/NBIRTH/gw", payload(_metric("bdSeq", 0, whole=0)))
    birth = (_metric("Hydraulics/Pressure", 1, pressure), _metric("Hydraulics/Flow", 2, flow))
    plant.publish(f"{base}/DBIRTH/gw/pump7", payload(*birth))
    data = (_metric("", 1, pressure), _metric("", 2, flow))
    plant.publish(f"{base}/DDATA/gw/pump7", payload(*data))


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*found, number))


def _field(key: int, value: int) -> bytes:
    return _varint(key << 3) + _varint(value)


def _inside(content: bytes, key: int = 2) -> bytes:
    return _varint(key << 3 | 2) + _varint(len(content)) + content


def _metric(name: str, alias: int, value: float = 0.0, whole: int | None = None) -> bytes:
    """A metric of Eclipse Tahu's schema: Double with an alias, or UInt64 without."""
    named = _inside(name.encode(), 1) if name else b""
    if whole is not None:
        return named + _field(4, 8) + _field(11, whole)
    stated = _field(2, alias) + _field(3, now_ms()) + _field(4, 10)
    return named + stated + _varint(13 << 3 | 1) + struct.pack("<d", value)


def siemens(plant: MqttClient, number: int) -> None:
    pressure, flow = values(number)
    topic = "ie/d/j/simatic/v1/s7c1/dp/r/press/default"
    names = {"101": "Pressure", "102": "Flow"}
    definitions = [{"name": name, "id": key} for key, name in names.items()]
    collection = {"name": "default", "topic": topic, "dataPointDefinitions": definitions}
    metadata = {"connections": [{"name": "press", "dataPoints": [collection]}]}
    plant.publish("ie/m/j/simatic/v1/s7c1/dp", metadata, retain=True)
    at = iso(now_ms())
    found = zip(names, (pressure, flow), strict=True)
    listed = [{"id": key, "val": value, "ts": at, "qc": 3} for key, value in found]
    plant.publish(topic, {"seq": number, "vals": listed})


def written_by(encoding: str) -> Publish:
    def publish(plant: MqttClient, number: int) -> None:
        pressure, flow = values(number)
        document = {"ts": now_ms(), "hydraulics": {"pressure": pressure, "flow": flow}}
        plant.publish(f"plant/{encoding}/pump7", WRITERS[encoding](document))

    return publish


STREAMS: dict[str, Publish] = {
    "scalar topics": scalars,
    "nested JSON": nested,
    "Kepware": kepware,
    "OPC UA": opcua,
    "several devices on one topic": devices,
    "Sparkplug": sparkplug,
    "Siemens": siemens,
    **{encoding: written_by(encoding) for encoding in WRITERS},
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("broker")) as one:
        yield one


def learned(broker: Mosquitto, publish: Publish, folder: Path, *options: str) -> Learned:
    file = folder / "bundle.zip"
    file.write_bytes(BUNDLE.content)
    return learn_while(broker.port, publish, "--seconds", SECONDS, "--bundle", str(file), *options)


@pytest.mark.parametrize("publish", STREAMS.values(), ids=STREAMS)
def test_agent_predicts_by_the_draft_without_an_edit(
    broker: Mosquitto, tmp_path: Path, publish: Publish
) -> None:
    found = learned(broker, publish, tmp_path)
    assert found.code == 0, found.notes + found.draft
    gateway = Gateway(tmp_path / "gw", broker.port, found.pipelines)
    gateway.keep(BUNDLE)
    assert "FAIL" not in check(gateway).stdout
    with PlantClient(broker.port, ["#"]) as client, gateway:
        gateway.start_serving()
        answers = _answers(client, publish)
    right = {values(number)[0] + 310 for number in range(3)}
    assert {one["value"] for one in answers} <= right, answers


def _answers(client: PlantClient, publish: Publish) -> list[dict[str, Any]]:
    rounds = iter(range(10_000))

    def good() -> list[dict[str, Any]]:
        publish(client, next(rounds))
        found = client.documents("_inference")
        return [one for one in found if one["quality"] == "GOOD"]

    return eventually(good, 20.0, "a prediction from what was published")


def test_what_is_said_of_a_nested_payload(broker: Mosquitto, tmp_path: Path) -> None:
    found = learned(broker, nested, tmp_path)
    (pipeline,) = found.pipelines
    assert pipeline["stream"] == "mass"
    (source,) = pipeline["inputs"]
    assert source == {
        "topic": "plant/l1/{asset}/telemetry",
        "dialect": "json",
        "timestamp": "meta.ts",
        "timestamp_unit": "iso8601",
        "quality": "meta.quality",
        "quality_map": "words",
        "signals": {"pressure": "hydraulics.pressure.value", "flow": "hydraulics.flow"},
    }
    assert "2 assets: pump7, pump8" in found.comments
    assert "hunter2" not in found.draft


def test_slash_at_the_beginning_and_a_state_are_told(broker: Mosquitto, tmp_path: Path) -> None:
    recipe = tmp_path / "part.toml"
    found = learn_while(
        broker.port, scalars, "/acme/#", "--seconds", SECONDS, "--recipe", str(recipe)
    )
    assert found.code == 0, found.notes
    first = found.pipelines[0]["inputs"][0]
    assert first["topic"] == "/acme/{line}/{asset}/{signal}"
    assert first["signals"] == {"pressure": "pressure", "flow": "flow", "mode": "mode"}
    assert "states" in found.draft
    assert "codes = { auto = 0 }" in recipe.read_text()


def test_configuration_needs_no_pipelines_to_begin_with(broker: Mosquitto, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "gw", broker.port, [])
    config = gateway.write_config()
    sections = config.read_text().replace("pipelines = []\n", "")
    config.write_text(sections)
    found = learn_while(broker.port, nested, "--config", str(config), "--seconds", SECONDS)
    assert found.code == 0, found.notes
    gateway.pipelines = found.pipelines
    checked = check(gateway)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.dumps(found.pipelines)


@pytest.mark.parametrize("kept", [True, False], ids=["kept by the gateway", "of the registry"])
def test_bundle_of_a_stream(broker: Mosquitto, tmp_path: Path, kept: bool) -> None:  # noqa: FBT001  two cases of one fact
    gateway = Gateway(tmp_path / "gw", broker.port, [])
    if kept:
        gateway.keep(BUNDLE)
    else:
        registry = Published.create(tmp_path / "registry")
        registry.publish(BUNDLE)
        gateway.registry, gateway.root = registry.url, registry.keys.root
    options = ("--config", str(gateway.write_config()), "--bundle", "mass", "--seconds", SECONDS)
    found = learn_while(broker.port, nested, *options)
    assert found.code == 0, found.notes
    assert found.pipelines[0]["stream"] == "mass"
    assert (gateway.state_dir / "registry").exists() is False, "the agent's state is left alone"


def test_stream_without_a_bundle(broker: Mosquitto, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "gw", broker.port, [])
    found = learn_while(
        broker.port, nested, "--config", str(gateway.write_config()), "--bundle", "nothing"
    )
    assert found.code == 78
    assert "--bundle nothing" in found.notes


def test_signal_in_another_unit_is_not_bound(broker: Mosquitto, tmp_path: Path) -> None:
    def in_psi(plant: MqttClient, number: int) -> None:
        plant.publish("plant/pump7", {"pressure_psi": 60.5 + number % 3, "flow": 31})

    found = learned(broker, in_psi, tmp_path)
    assert found.code == 1
    (source,) = found.pipelines[0]["inputs"]
    assert source["signals"] == {"flow": "flow"}
    assert "MISSING: the model's signal 'pressure' in bar" in found.comments
    assert "is in psi" in found.comments
    assert "pressure" in found.notes
