"""Assets that the payload names: each has windows, an output topic and a quality of its own."""

import json
from typing import Any

import pytest

from agent.config.settings import Limits
from agent.delivery.inputs import Input
from agent.streams.pipeline import Pipeline
from agent.streams.shedding import doubted
from models.bundle.manifest import Channel, WindowSpec
from models.errors import DecodeError
from models.input import routes
from models.input.pipeline import Pipeline as PipelineSettings
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from tests.kit.bundles.graphs import linear_bundle

T0_MS = 1_760_000_000_000
NOW_NS = (T0_MS + 5_000) * 1_000_000
TOPIC = "hub/l1/all"
ROWS = {"topic": "hub/{line}/all", "asset": "device.id", "timestamp": "ts"}
TAGS = ROWS | {"dialect": "scalar", "signal": "tag", "value": "v"}
BUNDLE = linear_bundle(
    "mass",
    1,
    [1.0, 10.0],
    channels=(Channel(name="c0"), Channel(name="c1")),
    window=WindowSpec(length=1, sample_period_ms=1000),
)


def serving(source: dict[str, Any], **fields: object) -> Pipeline:
    content = {"stream": "mass", "inputs": [source]} | fields
    pipeline = Pipeline(PipelineSettings.model_validate(content), Limits())
    pipeline.activate(Model(Session(BUNDLE), BUNDLE.sha256))
    return pipeline


def send(pipeline: Pipeline, asset: object, **fields: object) -> None:
    payload = json.dumps({"device": {"id": asset}, "ts": T0_MS} | fields).encode()
    message = Received(TOPIC, payload, 1, retained=False, repeated=False, at_ns=NOW_NS)
    route = pipeline.route(TOPIC)
    assert route is not None
    pipeline.take(route, message, Input(1, (TOPIC, payload)))


def answers(pipeline: Pipeline) -> dict[str, tuple[str, float]]:
    """Asset and value of each prediction by its topic."""
    sent = [(one.topic, json.loads(one.payload)) for one in pipeline.infer(lambda: NOW_NS)]
    return {topic: (answer["asset"], answer["value"]) for topic, answer in sent}


def test_rows_of_several_assets_on_one_topic_are_answered_each_on_its_own() -> None:
    pipeline = serving(ROWS)
    send(pipeline, "press", c0=1, c1=2)
    send(pipeline, 17, c0=3, c1=4)
    assert answers(pipeline) == {
        "hub/l1/press/_inference/mass": ("l1/press", 21.0),
        "hub/l1/17/_inference/mass": ("l1/17", 43.0),
    }


def test_signals_of_different_assets_never_share_a_sample() -> None:
    pipeline = serving(TAGS)
    send(pipeline, "press", tag="c0", v=1)
    send(pipeline, "drill", tag="c1", v=9)
    assert answers(pipeline) == {}
    send(pipeline, "press", tag="c1", v=2)
    assert answers(pipeline) == {"hub/l1/press/_inference/mass": ("l1/press", 21.0)}
    send(pipeline, "drill", tag="c0", v=5)
    assert answers(pipeline) == {"hub/l1/drill/_inference/mass": ("l1/drill", 95.0)}


def test_output_topic_may_name_the_asset_of_the_payload() -> None:
    pipeline = serving(ROWS, output={"topic": "out/{asset}/of/{line}"})
    send(pipeline, "press", c0=1, c1=2)
    assert answers(pipeline) == {"out/press/of/l1": ("l1/press", 21.0)}


def test_assets_can_be_limited_to_those_listed() -> None:
    pipeline = serving(ROWS, assets=["l1/press"])
    send(pipeline, "press", c0=1, c1=2)
    with pytest.raises(DecodeError, match="unknown_asset"):
        send(pipeline, "drill", c0=1, c1=2)
    assert len(answers(pipeline)) == 1


def test_readings_under_doubt_are_uncertain_whoever_names_the_asset() -> None:
    pipeline = serving(ROWS)
    payload = json.dumps({"device": {"id": "press"}, "ts": T0_MS, "c0": 1, "c1": 2}).encode()
    message = Received(TOPIC, payload, 1, retained=False, repeated=False, at_ns=NOW_NS)
    route = pipeline.route(TOPIC)
    assert route is not None
    pipeline.take(doubted(route), message, Input(1, (TOPIC, payload)))
    (sent,) = pipeline.infer(lambda: NOW_NS)
    assert json.loads(sent.payload)["quality"] == "UNCERTAIN"


def test_more_assets_than_are_kept_are_answered_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routes, "MAX_ADDRESSED", 2)
    pipeline = serving(ROWS)
    for turn in range(2):
        for number in range(5):
            send(pipeline, f"p{number}", c0=number, c1=turn, ts=T0_MS + 1000 * turn)
        assert dict(answers(pipeline).values()) == {
            f"l1/p{number}": number + 10.0 * turn for number in range(5)
        }


ILLEGAL = {
    "control character": "a\u0007",
    "line separator": "a\u2028",
    "slash": "a/b",
    "dollar sign": "$a",
    "too long": "x" * 257,
}


@pytest.mark.parametrize("asset", ILLEGAL.values(), ids=ILLEGAL)
def test_asset_that_no_topic_may_carry_reaches_no_window(asset: str) -> None:
    pipeline = serving(ROWS)
    with pytest.raises(DecodeError, match="asset_malformed"):
        send(pipeline, asset, c0=1, c1=2)
    assert answers(pipeline) == {}
