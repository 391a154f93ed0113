"""Blocks, assets, clocks and topics as no plant should have them: counted, and the rest goes on."""

import base64
import json
import struct
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle.manifest import WindowSpec
from models.windowing.blocks import MAX_HOPS
from tests.kit.broker.brokers import mosquitto
from tests.kit.broker.proxy import Proxy
from tests.kit.bundles.graphs import history_bundle, linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import BASE_MS, FILTERS, MASS, MASS_PIPELINE, OFTEN, Plant, serving
from tests.kit.gateway.system_clock import SystemClock

UNSYNCED: dict[str, object] = {"sync": False}


# Blocks.

SAMPLES = 4
WINDOW = WindowSpec(length=SAMPLES, hop=SAMPLES, sample_period_ms=1)
GOOD_BLOCK = [[1.0, 2.0]] * SAMPLES


def block_pipeline(stream: str, encoding: str, level: str = "", **paths: str) -> dict[str, object]:
    topic = f"plant/{{line}}/{{asset}}/{stream}{level}"
    source = {"topic": topic, "dialect": "block", "encoding": encoding, **paths}
    return {
        "stream": stream,
        "inputs": [source],
        "output": {"topic": "plant/{line}/{asset}/_inference/{stream}"},
    }


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def text(*values: float) -> str:
    return base64.b64encode(floats(*values)).decode()


def stamped(value: object) -> bytes:
    return json.dumps({"ts": BASE_MS, "v": value}).encode()


BLOCK_PIPELINES = [
    block_pipeline("raw", "float32"),
    block_pipeline("text", "base64", value="v", timestamp="ts"),
    block_pipeline("numbers", "json", value="v", timestamp="ts"),
    block_pipeline("axes", "json", "/{signal}", value="v", timestamp="ts"),
]
BAD_BLOCKS: list[tuple[str, bytes, str]] = [
    ("raw", b"", "empty"),
    ("raw", floats(1, 2, 3, 4)[:-1], "block_length"),
    ("raw", floats(1, 2, 3), "block_length"),
    ("raw", floats(*[1.0] * 2 * (MAX_HOPS * SAMPLES + 1)), "block_length"),
    ("text", stamped("!" * 16), "not_base64"),
    ("text", stamped(text(1, 2).rstrip("=")), "not_base64"),
    ("text", stamped("-_-_-_-_-_8="), "not_base64"),
    ("text", stamped("ü" * 16), "not_base64"),
    ("text", stamped([1, 2]), "not_base64"),
    ("text", stamped(text(1, 2, 3)), "block_length"),
    ("text", stamped(""), "block_length"),
    ("text", b'{"ts": 1760000000000}', "no_signal"),
    ("numbers", stamped([]), "block_length"),
    ("numbers", stamped([1, 2, 3]), "block_length"),
    ("numbers", stamped([[1, 2], [3]]), "block_length"),
    ("numbers", stamped([1, float("nan")]), "not_finite"),
    ("numbers", stamped([1, float("inf")]), "not_finite"),
    ("numbers", b'{"ts": 1760000000000, "v": [1, 1e999]}', "not_finite"),
    ("numbers", stamped([1, "2"]), "not_a_number"),
]


@pytest.fixture
def blocks(tmp_path: Path) -> Iterator[Plant]:
    with mosquitto(tmp_path / "broker") as broker:
        sections = {"limits": OFTEN, "journal": UNSYNCED}
        gateway = Gateway(tmp_path / "gw", broker.port, BLOCK_PIPELINES, sections=sections)
        for one in BLOCK_PIPELINES:
            gateway.keep(linear_bundle(str(one["stream"]), 1, [1.0, 10.0], window=WINDOW))
        with serving(gateway) as plant:
            yield plant


def test_block_that_is_none_is_counted_by_reason_and_the_next_one_answered(blocks: Plant) -> None:
    send = blocks.client.publish
    good = {"ts": BASE_MS, "v": GOOD_BLOCK}
    for number, (stream, payload, _) in enumerate(BAD_BLOCKS):
        send(f"plant/l1/p1/{stream}", payload)
        send("plant/l1/p1/numbers", good | {"ts": BASE_MS + number * SAMPLES})
    send("plant/l1/p1/raw", floats(*np.ravel(GOOD_BLOCK)))
    send("plant/l1/p1/text", good | {"v": text(*np.ravel(GOOD_BLOCK))})
    count = len(BAD_BLOCKS) + 2
    answers = blocks.client.wait_for("_inference", count)
    assert {(one["value"], one["quality"]) for one in answers} == {(21.0, "GOOD")}
    dropped = dict(Counter(reason for *_, reason in BAD_BLOCKS))
    blocks.wait_for_metrics(
        received=len(BAD_BLOCKS) + count, predicted=count, windowed=0, waiting=0, dropped=dropped
    )


def test_axis_of_another_length_is_counted_and_missing_in_its_block_only(blocks: Plant) -> None:
    for axis, values in (("c0", [1, 1, 1, 1]), ("c1", [2, 2, 2])):
        blocks.client.publish(f"plant/l1/p1/axes/{axis}", {"ts": BASE_MS, "v": values})
    for axis, values in (("c0", [3, 3, 3, 3]), ("c1", [4, 4, 4, 4])):
        blocks.client.publish(f"plant/l1/p1/axes/{axis}", {"ts": BASE_MS + SAMPLES, "v": values})
    answers = blocks.client.wait_for("_inference", 2)
    assert [(one["value"], one["quality"]) for one in answers] == [
        (1.0, "UNCERTAIN"),
        (43.0, "GOOD"),
    ]
    told = blocks.wait_for_metrics(received=4, dropped={"block_length": 1}, waiting=0)
    assert told["streams"]["axes"]["missing"] == {"c1": SAMPLES}


def test_nan_inside_a_block_is_a_missing_sample_and_counted(blocks: Plant) -> None:
    nan = float("nan")
    blocks.client.publish("plant/l1/p1/raw", floats(1, 2, nan, 2, 1, float("inf"), 1, 2))
    blocks.client.publish("plant/l1/p1/numbers", stamped([1, 2, None, 2, 1, 2, 1, 2]))
    blocks.client.publish("plant/l1/p1/raw", floats(*np.ravel(GOOD_BLOCK)))
    answers = blocks.client.wait_for("_inference", 3)
    assert Counter((one["stream"], one["value"], one["quality"]) for one in answers) == {
        ("raw", 21.0, "UNCERTAIN"): 1,
        ("numbers", 21.0, "UNCERTAIN"): 1,
        ("raw", 21.0, "GOOD"): 1,
    }
    told = blocks.wait_for_metrics(received=3, predicted=3, dropped={}, waiting=0)
    assert told["streams"]["raw"]["missing"] == {"c0": 1, "c1": 1}
    assert told["streams"]["numbers"]["missing"] == {"c0": 1}


# Assets.

MAX_ASSETS = 10
STRANGERS = 1000


def test_flood_of_assets_is_bounded_and_drops_the_least_recent(tmp_path: Path) -> None:
    limits = OFTEN | {"max_assets": MAX_ASSETS}
    with mosquitto(tmp_path / "broker", max_queued_messages=0) as broker:
        sections = {"limits": limits, "journal": UNSYNCED}
        gateway = Gateway(tmp_path / "gw", broker.port, [MASS_PIPELINE], sections=sections)
        gateway.keep(linear_bundle("mass", 1, [1.0, 10.0], length=2))
        with serving(gateway) as plant:
            sent, newest, told = flood(plant)
            answered = Counter(one["asset"] for one in plant.client.documents("_inference"))
            plant.client.publish(
                "plant/l1/early/telemetry", {"ts": BASE_MS + sent.total(), "c0": 1.0, "c1": 2.0}
            )
            again = plant.client.wait_for("early/_inference")[-1]
    assert told["streams"]["mass"]["forgotten_assets"] == len(sent) - MAX_ASSETS + 1
    assert not told["dropped"]
    assert answered == {"l1/steady": sent["steady"] - 1, **{f"l1/{one}": 1 for one in newest}}
    assert again["quality"] == "GOOD"


def flood(plant: Plant) -> tuple[Counter[str], list[str], Mapping[str, Any]]:
    """Readings sent by asset, the newest of the strangers, and the metrics after all of them."""
    sent: Counter[str] = Counter()

    def send(asset: str) -> None:
        ts = BASE_MS + sent.total()
        plant.client.publish(f"plant/l1/{asset}/telemetry", {"ts": ts, "c0": 1.0, "c1": 2.0})
        sent[asset] += 1

    send("early")
    send("steady")
    for number in range(STRANGERS):
        send(f"stranger{number}")
        if number % 5 == 4:
            send("steady")
    newest = [f"stranger{STRANGERS - 1 - back}" for back in range(MAX_ASSETS - 1)]
    for asset in newest:
        send(asset)
    send("early")
    predicted = sent["steady"] - 1 + len(newest)
    told = plant.wait_for_metrics(
        received=sent.total(), predicted=predicted, windowed=sent.total() - predicted, waiting=0
    )
    return sent, newest, told


# The clock.

HOUR_MS = 3_600_000
LENGTH = 3
WEIGHTS = (np.arange(LENGTH * 2).reshape(LENGTH, 2) / 8 + 0.25).astype(np.float32)
CLOCKED = [
    telemetry_pipeline("timed"),
    telemetry_pipeline("arriving", topic="plant/{line}/{asset}/arriving", timestamp=""),
]


def test_clock_that_jumps_an_hour_either_way_leaves_event_time_and_periods(tmp_path: Path) -> None:
    clock = SystemClock(tmp_path / "clock")
    with mosquitto(tmp_path / "broker") as broker:
        sections = {"limits": OFTEN, "journal": UNSYNCED}
        gateway = Gateway(tmp_path / "gw", broker.port, CLOCKED, sections=sections)
        gateway.environment = clock.environment
        for stream in ("timed", "arriving"):
            gateway.keep(history_bundle(stream, 1, WEIGHTS))
        with serving(gateway) as plant:
            rows = jump(plant, clock)
            timed, arriving = (
                plant.client.documents(f"_inference/{one}") for one in ("timed", "arriving")
            )
            plant.wait_for_metrics(received=2 * len(rows), dropped={}, waiting=0)
    values = np.array([(row["c0"], row["c1"]) for row in rows], np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(values, LENGTH, axis=0).transpose(0, 2, 1)
    wanted = np.tensordot(windows, WEIGHTS, 2).tolist()
    assert [one["timestamp"] for one in timed] == [row["ts"] for row in rows[LENGTH - 1 :]]
    assert [one["value"] for one in timed] == wanted
    assert [one["value"] for one in arriving] == wanted
    moments = [one["timestamp"] for one in arriving]
    assert moments == sorted(moments)
    assert all(0 <= one["latency_ms"] < HOUR_MS for one in (*timed, *arriving))


def jump(plant: Plant, clock: SystemClock) -> list[dict[str, Any]]:
    """Rows that were sent while the clock jumped, an hour in each direction and back."""
    start_ms = round(time.time() * 1000) - 2 * HOUR_MS
    rows: list[dict[str, Any]] = []
    for hours in (0, 1, 0, -1, 0):
        clock.set_by(hours * HOUR_MS * 1_000_000)
        for _ in range(LENGTH):
            number = len(rows)
            rows.append({"ts": start_ms + number, "c0": number / 4, "c1": number**2 % 7})
            plant.client.publish("plant/l1/p1/telemetry", rows[-1])
            plant.client.publish("plant/l1/p1/arriving", rows[-1])
        for stream in ("timed", "arriving"):
            plant.client.wait_for(f"_inference/{stream}", len(rows) - LENGTH + 1)
        told = plant.client.count("millhand/gw1/metrics")
        plant.client.wait_for("millhand/gw1/metrics", told + 1)
    return rows


def test_clock_that_is_an_hour_behind_refuses_the_future_until_it_is_set(tmp_path: Path) -> None:
    clock = SystemClock(tmp_path / "clock")
    with mosquitto(tmp_path / "broker") as broker:
        sections = {"limits": OFTEN}
        gateway = Gateway(tmp_path / "gw", broker.port, [MASS_PIPELINE], sections=sections)
        gateway.environment = clock.environment
        gateway.keep(MASS)
        with serving(gateway) as plant:
            now = {"ts": round(time.time() * 1000), "c0": 1.0, "c1": 2.0}
            clock.set_by(-HOUR_MS * 1_000_000)
            plant.client.publish("plant/l1/p1/telemetry", now)
            plant.wait_for_metrics(received=1, predicted=0, dropped={"time_future": 1}, waiting=0)
            clock.set_by(0)
            plant.client.publish("plant/l1/p1/telemetry", now)
            assert plant.client.wait_for("_inference")[0]["timestamp"] == now["ts"]
            plant.wait_for_metrics(received=2, predicted=1, dropped={"time_future": 1}, waiting=0)


# Topics.

LONGEST = 65_535


class Forging(Proxy):
    """Brings messages to the client that its broker would not take from anybody."""

    def forge(self, topic: bytes, payload: bytes) -> None:
        """Send a PUBLISH of MQTT 5 at QoS 0, behind the packets that have been passed on."""
        body = len(topic).to_bytes(2, "big") + topic + b"\0" + payload
        packet = b"\x30" + _length(len(body)) + body

        def write() -> None:
            for tunnel in self._tunnels:
                tunnel.writers[0].write(packet)

        self._call(write)


def _length(number: int) -> bytes:
    """As a variable byte integer (MQTT 5, 1.5.5)."""
    told = bytearray()
    while number > 0x7F:
        told.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*told, number])


def filled(before: str, after: str) -> bytes:
    """A topic of the longest length, one level of which is very long."""
    return (before + "p" * (LONGEST - len(before) - len(after)) + after).encode()


BAD_TOPICS: list[tuple[bytes, str]] = [
    (b"plant/l1/p+1/telemetry", "no_pipeline"),
    (b"plant/l1/+/telemetry", "no_pipeline"),
    (b"plant/+/p1/telemetry", "no_pipeline"),
    (b"plant/l1/#/telemetry", "no_pipeline"),
    (b"plant/l1/p#/telemetry", "no_pipeline"),
    (b"plant/l1/p\0/telemetry", "no_pipeline"),
    (b"plant/l1/$SYS/telemetry", "no_pipeline"),
    (b"plant/l1//telemetry", "no_pipeline"),
    (b"plant/l1/p1/telemetry/#", "no_pipeline"),
    (b"plant/l1/\xff/telemetry", "no_pipeline"),
    (b"plant/l1/\xed\xa0\x80/telemetry", "no_pipeline"),
    (b"", "no_pipeline"),
    (b"+", "no_pipeline"),
    (b"\0", "no_pipeline"),
    (b"/" * LONGEST, "no_pipeline"),
    (filled("", ""), "no_pipeline"),
    (filled("plant/l1/", "/telemetry"), "no_pipeline"),
    (filled("plant/", "/p1/telemetry"), "no_pipeline"),
    (b"plant/l1/p1/plain/+", "unbound_signal"),
    (b"plant/l1/p1/plain/#", "unbound_signal"),
    (b"plant/l1/p1/plain/c0\0", "unbound_signal"),
    (filled("plant/l1/p1/plain/", ""), "unbound_signal"),
]
TOPIC_PIPELINES: list[dict[str, object]] = [
    MASS_PIPELINE,
    {
        "stream": "plain",
        "inputs": [{"topic": "plant/{line}/{asset}/plain/{signal}", "dialect": "scalar"}],
    },
]


@contextmanager
def forging(folder: Path) -> Iterator[tuple[Plant, Forging, PlantClient]]:
    """A plant behind a forger, and somebody who hears every topic."""
    with (
        mosquitto(folder / "broker") as broker,
        Forging(broker.port) as forger,
        PlantClient(broker.port, ["#"]) as listener,
        PlantClient(broker.port, FILTERS) as client,
        Gateway(folder / "gw", forger.port, TOPIC_PIPELINES, sections={"limits": OFTEN}) as gateway,
    ):
        gateway.keep(MASS)
        gateway.keep(linear_bundle("plain", 1, [1.0, 10.0]))
        gateway.start_serving()
        plant = Plant(gateway, client)
        plant.wait_until_online()
        yield plant, forger, listener


def test_topic_that_no_topic_may_be_is_counted_and_leads_to_no_other(tmp_path: Path) -> None:
    with forging(tmp_path) as (plant, forger, listener):
        row = json.dumps({"ts": BASE_MS, "c0": 1.0, "c1": 1.0}).encode()
        for topic, _ in BAD_TOPICS:
            forger.forge(topic, row)
            plant.send()
        plant.wait_for_answers()
        told = plant.wait_for_metrics(
            received=2 * len(BAD_TOPICS),
            predicted=len(BAD_TOPICS),
            dropped=dict(Counter(reason for _, reason in BAD_TOPICS)),
            waiting=0,
        )
        assert told["connects"] == 1, "no topic cost the connection"
        listener.wait_for("_inference", len(BAD_TOPICS))
        written = {topic for topic, _ in listener.messages if "/_inference/" in topic}
        assert written == {"plant/l1/p1/_inference/mass"}


def test_longest_topic_that_the_broker_takes_is_counted(tmp_path: Path) -> None:
    with forging(tmp_path) as (plant, _, listener):
        plant.client.publish(filled("plant/l1/", "/telemetry").decode(), "{}")
        plant.send()
        plant.wait_for_answers()
        plant.wait_for_metrics(received=2, predicted=1, dropped={"no_pipeline": 1}, waiting=0)
        assert {len(topic) for topic, _ in listener.messages} >= {LONGEST}
