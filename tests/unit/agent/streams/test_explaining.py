"""Predictions that say which signals they are due to: which ones, and how many a turn."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from agent.config.settings import Limits
from agent.delivery.inputs import Input
from agent.streams.pipeline import Pipeline
from models.bundle.explain import Explain
from models.bundle.package import Bundle
from models.input.pipeline import Pipeline as PipelineSettings
from serving.model import prove
from serving.mqtt.packets import Received
from tests.kit.bundles.graphs import detector_bundle, linear_bundle

T0_MS = 1_760_000_000_000
NOW_NS = (T0_MS + 5_000) * 1_000_000
AT_ALARMS = Explain(
    when="alarm", method="shapley", orders=2, reference=0, output="score", alarms=(1,)
)
REFERENCE = -100.0  # of all signals, which is the first golden window
CALM, ALARM = {"c0": -20.0, "c1": 0.0}, {"c0": 20.0, "c1": 5.0}


class Line:
    """A pipeline for one bundle, whose messages are numbered."""

    def __init__(self, bundle: Bundle, **limits: Any) -> None:  # noqa: ANN401  as Limits takes them
        source = {"topic": "plant/{asset}", "timestamp": "ts"}
        settings = {"stream": bundle.manifest.stream, "inputs": [source]}
        self.pipeline = Pipeline(PipelineSettings.model_validate(settings), Limits(**limits))
        self.pipeline.activate(prove(bundle))
        self._sent = 0

    def take(self, values: Mapping[str, float | None], asset: str = "p1") -> None:
        """Take a reading into a window."""
        self._sent += 1
        payload = json.dumps({"ts": T0_MS + self._sent, **values}).encode()
        topic = f"plant/{asset}"
        received = Received(topic, payload, 1, retained=False, repeated=False, at_ns=NOW_NS)
        route = self.pipeline.route(topic)
        assert route is not None
        self.pipeline.take(route, received, Input(self._sent, (topic, payload)))

    def turn(self) -> list[dict[str, Any]]:
        """The predictions of a turn."""
        return [json.loads(one.payload) for one in self.pipeline.infer(lambda: NOW_NS)]

    @property
    def outcomes(self) -> Mapping[str, int]:
        """What has become of the explanations."""
        return self.pipeline.inference.counted.explanations.outcomes


def detector(explain: Explain | None = AT_ALARMS) -> Bundle:
    return detector_bundle("mass", 1, [1.0, 2.0], explain=explain)


def which(answers: Sequence[Mapping[str, Any]]) -> list[int]:
    return [place for place, answer in enumerate(answers) if "why" in answer]


def test_the_first_prediction_of_an_alarm_names_its_signals() -> None:
    line = Line(detector())
    for values in (CALM, ALARM, ALARM, CALM, ALARM):
        line.take(values)
    answers = line.turn()
    assert which(answers) == [1, 4]
    total = (20.0 - REFERENCE) + 2.0 * (5.0 - REFERENCE)
    assert answers[1]["why"] == [
        {"signal": "c1", "value": 5.0, "share": pytest.approx(210 / total, abs=1e-3)},
        {"signal": "c0", "value": 20.0, "share": pytest.approx(120 / total, abs=1e-3)},
    ]
    assert line.outcomes == {"made": 2}


def test_an_alarm_is_explained_once_over_turns_and_for_each_asset() -> None:
    line = Line(detector())
    line.take(ALARM)
    line.take(CALM, "p2")
    assert which(line.turn()) == [0]
    line.take(ALARM)
    line.take(ALARM, "p2")
    assert which(line.turn()) == [1]


def test_a_missing_signal_is_null_in_the_reasons() -> None:
    line = Line(detector())
    line.take({"c0": None, "c1": 5.0})
    (answer,) = line.turn()
    assert answer["quality"] == "UNCERTAIN"
    assert answer["why"] == [
        {"signal": "c1", "value": 5.0, "share": 1.0},
        {"signal": "c0", "value": None, "share": None},
    ]


def test_a_bundle_without_the_section_explains_nothing() -> None:
    line = Line(detector(None))
    line.take(ALARM)
    assert which(line.turn()) == []
    assert line.outcomes == {}


def test_always_explains_each_prediction_of_a_number() -> None:
    explain = Explain(when="always", method="occlusion", reference=0, output="value")
    line = Line(linear_bundle("mass", 1, [1.0, 0.0], explain=explain))
    line.take({"c0": 3.0, "c1": 1.0})
    line.take({"c0": 4.0, "c1": 1.0})
    answers = line.turn()
    assert which(answers) == [0, 1]
    assert answers[0]["why"][0] == {"signal": "c0", "value": 3.0, "share": 1.0}


def test_a_number_is_not_explained_at_alarms() -> None:
    explain = Explain(when="alarm", method="occlusion", reference=0, output="value")
    line = Line(linear_bundle("mass", 1, [1.0, 0.0], explain=explain))
    line.take({"c0": 3.0, "c1": 1.0})
    assert which(line.turn()) == []


def test_a_turn_explains_a_bounded_number_and_counts_the_rest() -> None:
    line = Line(detector(), max_explained=2)
    for number in range(5):
        line.take(ALARM, f"p{number}")
    answers = line.turn()
    assert [answer["value"] for answer in answers] == [1] * 5
    assert which(answers) == [0, 1]
    assert line.outcomes == {"made": 2, "left_out": 3}
    line.take(ALARM, "p9")
    assert which(line.turn()) == [0]


def test_a_prediction_does_not_wait_for_reasons_that_take_longer_than_a_turn() -> None:
    line = Line(detector(), turn_s=1e-9)
    line.take(ALARM)
    (answer,) = line.turn()
    assert answer["value"] == 1
    assert "why" not in answer
    assert line.outcomes == {"left_out": 1}


def test_a_model_that_fails_on_mixed_windows_still_answers() -> None:
    explain = Explain(when="always", method="shapley", orders=2, reference=0, output="value")
    line = Line(linear_bundle("mass", 1, [1.0, -1.0], fails_above=195.0, explain=explain))
    line.take({"c0": 99.0, "c1": 99.0})  # 99 of one and -100 of the other are 199
    (answer,) = line.turn()
    assert answer["value"] == 0.0
    assert answer["quality"] == "GOOD"
    assert "why" not in answer
    assert line.pipeline.inference.failure is None
    assert line.outcomes == {"failed": 1}
