"""Late labels say which of two models was nearer, beside the gates of the shadow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.plant import BASE_MS, CONTROL, OFTEN, TOPIC, serving

STREAM = "mass"
LABELS = "plant/l1/p1/_label/mass"
EPISODES = 5


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "broker") as running:
        yield running


def test_labels_count_for_the_model_in_the_shadow(tmp_path: Path, broker: Mosquitto) -> None:
    champion, candidate = linear_bundle(STREAM, 1, [1.0]), linear_bundle(STREAM, 2, [1.5])
    published = Published.create(tmp_path)
    published.publish(champion)
    published.publish(candidate)
    gateway = Gateway(
        tmp_path / "gw",
        broker.port,
        [telemetry_pipeline(STREAM) | {"shadow": "newest", "labels": {}}],
        registry=published.url,
        root=published.keys.root,
        sections={"limits": OFTEN, "shadow": {"block_s": 1.0, "evidence_s": 0.1}},
    )
    gateway.keep(champion, pinned=False)
    with serving(gateway) as plant:
        found = plant.wait(
            lambda: (plant.client.latest(CONTROL.current(STREAM)) or {}).get("shadow"),
            "the candidate in the shadow",
        )
        assert found is not None
        assert found["seq"] == 2
        for number in range(EPISODES + 1):
            at_ms = BASE_MS + 1_000 * number
            plant.client.publish(TOPIC, {"ts": at_ms, "c0": 10.0 + number})
            plant.wait(lambda: plant.client.count("_inference") > number, "the answer")  # noqa: B023  at once
            label = {"from": at_ms, "to": at_ms + 999, "value": 10.0 + number}
            plant.client.publish(LABELS, label)
        gate = plant.wait(
            lambda: _gate_with(plant.client.latest(CONTROL.evidence(STREAM))),
            "evidence of the labels",
        )
        assert gate is not None
        assert (gate["kind"], gate["misses"]) == ("rate", 0)
        assert gate["log_e"] > 0


def _gate_with(evidence: dict[str, Any] | None) -> dict[str, Any] | None:
    gate: dict[str, Any] | None = (evidence or {}).get("gates", {}).get("labels")
    return gate if gate and gate["hits"] >= EPISODES - 1 else None
