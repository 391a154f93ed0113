"""The documented message of products, from a broker through one agent to its prediction."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from models.bundle.manifest import Channel
from models.input.options import Dialect
from models.input.source import Input
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.corpus.cases import Case, cases
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.plant import OFTEN, Plant, serving

EXAMPLES = {
    one.dialect: one
    for one in cases()
    if one.name == "documented example"
    and one.dialect in get_args(Dialect)
    and "{signal}" not in one.source["topic"]
    and not one.before
}
WEIGHT = 2.0
OUTPUTS = {
    "by-topic": "plant/l1/{site}/_inference/{stream}",
    "by-payload": "plant/{site}/{asset}/_inference/{stream}",
}
CHANNELS = (Channel(name="pressure"),)


def source_of(case: Case) -> dict[str, Any]:
    """The input of a case for a model of one signal, on topics that have the same levels."""
    signals = {"pressure": case.source["signals"]["pressure"]}
    return {**case.source, "topic": case.dialect + "/{site}", "signals": signals}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("products")
    inputs: dict[str, list[dict[str, Any]]] = {"by-topic": [], "by-payload": []}
    for case in EXAMPLES.values():
        source = source_of(case)
        names_asset = Input.model_validate(source).names_asset
        inputs["by-payload" if names_asset else "by-topic"].append(source)
    pipelines: list[dict[str, object]] = [
        {"stream": stream, "inputs": own, "output": {"topic": OUTPUTS[stream]}}
        for stream, own in inputs.items()
    ]
    with mosquitto(folder / "broker") as broker:
        gateway = Gateway(folder / "gw", broker.port, pipelines, sections={"limits": OFTEN})
        for stream in inputs:
            gateway.keep(linear_bundle(stream, 1, [WEIGHT], channels=CHANNELS))
        with serving(gateway) as plant:
            yield plant
            plant.wait_for_metrics(waiting=0, dropped={})


@pytest.mark.parametrize("case", EXAMPLES.values(), ids=EXAMPLES)
def test_documented_message_is_answered(case: Case, plant: Plant) -> None:
    def answers() -> list[tuple[object, ...]]:
        found = [
            json.loads(payload)
            for topic, payload in list(plant.client.messages)
            if "/_inference/" in topic and case.dialect in topic.split("/")
        ]
        return sorted((one["asset"], one["timestamp"], one["value"]) for one in found)

    plant.client.publish(f"{case.dialect}/{case.dialect}", case.payload)
    by_payload = Input.model_validate(source_of(case)).names_asset
    wanted = sorted(
        (
            f"{case.dialect}/{one.asset.rpartition('/')[2]}" if by_payload else case.dialect,
            (one.time_ns or 0) // 1_000_000,
            WEIGHT * (one.values["pressure"] or 0),
        )
        for one in case.readings
        if "pressure" in one.values
    )
    plant.wait(lambda: len(answers()) >= len(wanted), f"{len(wanted)} answers of {case.dialect}")
    assert answers() == wanted
