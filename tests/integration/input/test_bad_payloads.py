"""A bad message costs that message only: counted by its reason, logged once, never fed or shown."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.plant import BASE_MS, MASS, OFTEN, TOPIC, Plant, serving
from tests.kit.waiting import eventually

CANARY = "do-not-log-me"
FLOOD = 10_000
MAX_PAYLOAD_BYTES = 1 << 20
YEAR_MS = 366 * 86_400_000
PIPELINES: list[dict[str, object]] = [
    telemetry_pipeline("mass", quality="q") | {"assets": ["l1/p1"]},
    {
        "stream": "rows",
        "inputs": [{"topic": "plant/{line}/{asset}/rows", "sequence": "n"}],
    },
    {
        "stream": "plain",
        "inputs": [{"topic": "plant/{line}/{asset}/plain/{signal}", "dialect": "scalar"}],
    },
    {
        "stream": "umh",
        "inputs": [{"topic": "plant/{line}/{asset}/umh/{signal}", "dialect": "umh"}],
    },
    {
        "stream": "board",
        "inputs": [{"topic": "plant/{line}/{asset}/board", "dialect": "thingsboard"}],
    },
]


def row(**fields: object) -> str:
    """A row that would be good, but for `fields`; None leaves one out."""
    document = {"ts": BASE_MS, "c0": 1.0, "c1": 2.0, "note": CANARY} | fields
    return json.dumps({name: value for name, value in document.items() if value is not None})


def raw(text: str) -> str:
    """A row with `text` in the place of its only value, as no JSON library would write it."""
    return row(c0=0, c1=None).replace('"c0": 0', f'"c0": {text}')


BAD_ROWS: list[tuple[str | bytes, str]] = [
    (b"", "empty"),
    (CANARY, "not_json"),
    (row()[:-1], "not_json"),
    (b"\xff\xfe\x00", "not_json"),
    (raw("'4.2'"), "not_json"),
    (raw(r'"\ud800"'), "not_json"),
    (b'{"note": "\xed\xa0\x80"}', "not_json"),
    (b'{"a":' * 200_000, "too_deep"),
    (b"[" * MAX_PAYLOAD_BYTES, "too_deep"),
    (b"[" * 150 + b"]" * 150, "too_deep"),
    (raw("NaN"), "not_finite"),
    (raw("Infinity"), "not_finite"),
    (raw("-Infinity"), "not_finite"),
    (raw("1e999"), "not_finite"),
    (f"[{row()}]", "not_an_object"),
    ("null", "not_an_object"),
    ("4.2", "not_an_object"),
    (raw('"4.2"'), "not_a_number"),
    (raw("[4.2]"), "not_a_number"),
    (raw('{"value": 4.2}'), "not_a_number"),
    (raw('1.0, "c0": 2.0'), "duplicate_key"),
    (raw(r'1.0, "\u00630": 2.0'), "duplicate_key"),
    (row(c0=None, c1=None), "no_signal"),
    (row(ts=None), "time_missing"),
    (row(ts="yesterday"), "time_malformed"),
    (row(ts=True), "time_malformed"),
    (row(ts=0), "time_past"),
    (row(ts=-BASE_MS), "time_past"),
    (row(ts=round(time.time() * 1000) + YEAR_MS), "time_future"),
    (row(ts=10**300), "time_future"),
    (row(q="splendid"), "quality_unknown"),
    (row(q=-1), "quality_unknown"),
    (row(q=3), "quality_ambiguous"),
    (b" " * MAX_PAYLOAD_BYTES + b"{}", "payload_too_large"),
]
BAD_MESSAGES: list[tuple[str, str | bytes, str]] = [
    *((TOPIC, payload, reason) for payload, reason in BAD_ROWS),
    ("plant/l1/p2/telemetry", row(), "unknown_asset"),
    ("plant//p1/telemetry", row(), "no_pipeline"),
    ("plant/l1/$p1/telemetry", row(), "no_pipeline"),
    ("plant/l1/p1/rows", row(), "sequence_missing"),
    ("plant/l1/p1/rows", row(n=[1]), "sequence_malformed"),
    ("plant/l1/p1/plain/c0", "", "empty"),
    ("plant/l1/p1/plain/c0", CANARY, "not_a_number"),
    ("plant/l1/p1/plain/c0", "0x10", "not_a_number"),
    ("plant/l1/p1/plain/c0", "1_000", "not_a_number"),
    ("plant/l1/p1/plain/c0", "1" * 65, "not_a_number"),
    ("plant/l1/p1/plain/c0", "nan", "not_finite"),
    ("plant/l1/p1/plain/c0", "1e999", "not_finite"),
    ("plant/l1/p1/plain/strange", "1.0", "unbound_signal"),
    ("plant/l1/p1/umh/c0", '{"timestamp_ms": 1, "value": 1, "x": 1}', "unknown_layout"),
    ("plant/l1/p1/umh/c0", '{"timestamp_ms": "1", "value": 1}', "unknown_layout"),
    ("plant/l1/p1/umh/c0", '{"timestamp_ms": 1, "value": 1}', "time_past"),
    ("plant/l1/p1/umh/c0", f'{{"timestamp_ms": {BASE_MS}, "value": "{CANARY}"}}', "not_a_number"),
    ("plant/l1/p1/board", "[]", "not_an_object"),
    ("plant/l1/p1/board", f'{{"note": "{CANARY}"}}', "no_signal"),
    ("plant/l1/p1/board", '{"ts": "now", "values": {"c0": 1}}', "time_malformed"),
    ("plant/l1/p1/board", "[" + "{}," * 10_000 + "{}]", "too_many_entries"),
]


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """A gateway with a pipeline a dialect; `Plant.send` feeds the first of them."""
    with mosquitto(tmp_path / "broker", max_queued_messages=0) as broker:
        limits = {"max_assets": 2, "log_interval_s": 3600.0, "desired_s": 0.001} | OFTEN
        gateway = Gateway(tmp_path / "gw", broker.port, PIPELINES, sections={"limits": limits})
        gateway.keep(MASS)
        for stream in ("rows", "plain", "umh", "board"):
            gateway.keep(linear_bundle(stream, 1, [1.0, 10.0]))
        with serving(gateway) as plant:
            yield plant


def assert_told_once_a_reason(plant: Plant, reasons: set[str]) -> None:
    log = plant.gateway.log
    told = [line for line in log.splitlines() if "message dropped" in line]
    assert {line.split('reason="')[1].split('"')[0] for line in told} == reasons
    assert len(told) == len(reasons)
    assert CANARY not in log


def test_each_bad_message_is_counted_by_its_reason_and_costs_no_other(plant: Plant) -> None:
    for topic, payload, _ in BAD_MESSAGES:
        plant.client.publish(topic, payload)
        plant.send()
    plant.wait_for_answers()
    reasons = Counter(reason for *_, reason in BAD_MESSAGES)
    plant.wait_for_metrics(
        received=2 * len(BAD_MESSAGES),
        predicted=len(BAD_MESSAGES),
        windowed=0,
        waiting=0,
        dropped=dict(reasons),
    )
    assert_told_once_a_reason(plant, set(reasons))


def test_good_message_after_ten_thousand_bad_ones_is_answered(plant: Plant) -> None:
    light = [(topic, payload) for topic, payload, _ in BAD_MESSAGES if len(payload) < 200]
    for number in range(FLOOD):
        plant.client.publish(*light[number % len(light)])
    plant.send()
    plant.wait_for_answers()
    metrics = plant.wait_for_metrics(received=FLOOD + 1, predicted=1, waiting=0)
    assert sum(metrics["dropped"].values()) == FLOOD
    assert_told_once_a_reason(plant, set(metrics["dropped"]))


def test_repeated_and_surplus_readings_are_counted_and_late_rows_answered(plant: Plant) -> None:
    plant.send(3)
    plant.wait_for_answers()
    plant.client.publish(TOPIC, row(ts=BASE_MS - 1))
    plant.client.publish(TOPIC, row(ts=BASE_MS + 2, c0=2.0, c1=1.0))
    for asset in ("a1", "a2", "a3"):
        plant.client.publish(f"plant/l1/{asset}/rows", row(n=1))
    metrics = plant.wait_for_metrics(received=8, predicted=7, dropped={"duplicate": 1})
    assert metrics["streams"]["rows"]["forgotten_assets"] == 1
    assert plant.client.count("p1/_inference/mass") == 4


def test_retained_reading_is_never_fed(plant: Plant) -> None:
    """MQTT 5 does not even deliver it; tests/integration/delivery/test_fallback.py has 3.1.1."""
    plant.client.publish(TOPIC, row(ts=BASE_MS - 1000), retain=True)
    plant.wait_for_metrics(received=1, predicted=1)
    plant.gateway.kill()
    plant.gateway.start_serving()
    plant.client.publish(TOPIC, row())
    plant.wait(lambda: plant.client.count("_inference") >= 2, "an answer to the live one")
    answers = plant.client.documents("_inference")
    assert [answer["timestamp"] for answer in answers] == [BASE_MS - 1000, BASE_MS]


@pytest.mark.parametrize("retain", [False, True], ids=["live", "retained"])
def test_garbage_as_desired_is_refused_and_changes_nothing(plant: Plant, *, retain: bool) -> None:
    garbage: list[str | bytes] = [
        CANARY,
        b"\xff\xfe",
        b"{" * 5000,
        "null",
        "[1]",
        '"1"',
        "{}",
        '{"seq": null}',
        '{"seq": 0}',
        '{"seq": "1"}',
        '{"seq": true}',
        '{"seq": 1.0}',
        f'{{"seq": {10**30}}}',
        '{"seq": 1, "stream": "another"}',
    ]

    def refusals() -> list[dict[str, Any]]:
        """Those of documents; the gateway has no registry, and is told so when it looks there."""
        told = plant.client.documents("feedback")
        return [one for one in told if one.get("error") != "trust_anchor_invalid"]

    def wait_for_refusals(count: int) -> None:
        plant.wait(lambda: len(refusals()) >= count, f"{count} refusals")

    for number, payload in enumerate(garbage, start=1):
        plant.client.publish("millhand/gw1/desired/mass", payload, retain=retain)
        wait_for_refusals(number)
    told = {(one["state"], one["error"]) for one in refusals()}
    assert told == {("refused", "incompatible")}
    plant.client.publish("millhand/gw1/desired/strange", '{"seq": 1}')
    if retain:
        plant.gateway.kill()
        plant.gateway.start_serving()
        wait_for_refusals(len(garbage) + 1)
    plant.send(3)
    plant.wait_for_answers()
    eventually(lambda: plant.client.documents("current/mass")[-1]["seq"] == 1)
    assert CANARY not in plant.gateway.log
