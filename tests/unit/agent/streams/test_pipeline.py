"""One stream from payloads to predictions, with a real graph in a real session."""

import json
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.settings import Limits
from agent.delivery.inputs import Input
from agent.delivery.outgoing import Outgoing
from agent.streams.pipeline import Pipeline
from models.bundle.manifest import Channel, WindowSpec
from models.bundle.package import Bundle
from models.errors import DecodeError, IncompatibleBundleError, ReadingError
from models.input.pipeline import Pipeline as PipelineSettings
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from tests.kit.bundles.factories import make_channels
from tests.kit.bundles.graphs import detector_bundle, linear_bundle

T0_MS = 1_760_000_000_000
NOW_NS = (T0_MS + 5_000) * 1_000_000
TOPIC = "plant/l1/p1/telemetry"
WEIGHTS = [1.0, 10.0]


def settings(**fields: Any) -> PipelineSettings:  # noqa: ANN401  any TOML
    source = {"topic": "plant/{line}/{asset}/telemetry", "timestamp": "ts", "quality": "q"}
    inputs = fields.pop("inputs", [source | fields.pop("source", {})])
    return PipelineSettings.model_validate({"stream": "mass", "inputs": inputs} | fields)


def serving(bundle: Bundle, limits: Limits | None = None, **fields: object) -> Pipeline:
    pipeline = Pipeline(settings(**fields), limits or Limits())
    pipeline.activate(Model(Session(bundle), bundle.sha256))
    return pipeline


def linear(**fields: Any) -> Bundle:  # noqa: ANN401  as linear_bundle takes them
    return linear_bundle("mass", fields.pop("seq", 1), WEIGHTS, **fields)


def message(payload: bytes | dict[str, object], topic: str = TOPIC) -> Received:
    if isinstance(payload, dict):
        payload = json.dumps(payload).encode()
    return Received(topic, payload, 1, retained=False, repeated=False, at_ns=NOW_NS)


def row(number: int = 0, c0: object = 1.0, c1: object = 2.0, **more: object) -> dict[str, object]:
    return {"ts": T0_MS + 1000 * number, "c0": c0, "c1": c1} | more


def take(pipeline: Pipeline, received: Received) -> Input:
    source = Input(1, (received.topic, received.payload))
    route = pipeline.route(received.topic)
    assert route is not None
    pipeline.take(route, received, source)
    return source


def infer(pipeline: Pipeline) -> list[Outgoing]:
    return pipeline.infer(lambda: NOW_NS + 250_000)


def predictions(pipeline: Pipeline, *payloads: bytes | dict[str, object]) -> list[dict[str, Any]]:
    for payload in payloads:
        take(pipeline, message(payload))
    return [json.loads(outgoing.payload) for outgoing in infer(pipeline)]


def refusal(pipeline: Pipeline, payload: bytes | dict[str, object], topic: str = TOPIC) -> str:
    with pytest.raises(ReadingError) as caught:
        take(pipeline, message(payload, topic))
    return caught.value.reason


def test_reading_becomes_a_prediction() -> None:
    bundle = linear()
    (answer,) = predictions(serving(bundle), row())
    assert answer.pop("id") == told_id(bundle)
    assert answer == {
        "value": 21.0,
        "quality": "GOOD",
        "timestamp": T0_MS,
        "asset": "l1/p1",
        "stream": "mass",
        "version": "1.0.1",
        "seq": 1,
        "unit": "h",
        "latency_ms": 0.25,
        "input_age_ms": 5000,
    }


def told_id(bundle: Bundle) -> str:
    (answer,) = predictions(serving(bundle), row())
    identity: str = answer["id"]
    return identity


def test_prediction_goes_to_the_topic_of_its_asset_and_belongs_to_its_input() -> None:
    pipeline = serving(linear())
    source = take(pipeline, message(row(), "plant/l2/p9/telemetry"))
    (outgoing,) = infer(pipeline)
    assert outgoing.topic == "plant/l2/p9/_inference/mass"
    assert (outgoing.source, outgoing.qos, outgoing.retain) == (source, 1, False)


def test_batch_keeps_the_order_and_the_assets_apart() -> None:
    pipeline = serving(linear(length=2))
    for number in range(3):
        for asset in ("p1", "p2", "p3"):
            reading = row(number, c0=float(asset[1]), c1=float(number))
            take(pipeline, message(reading, f"plant/l1/{asset}/telemetry"))
    answers = [json.loads(outgoing.payload) for outgoing in infer(pipeline)]
    assert [(one["asset"], one["value"]) for one in answers] == [
        (f"l1/p{asset}", asset + 10.0 * number) for number in (1, 2) for asset in (1, 2, 3)
    ]


def test_scalars_are_published_below_the_prediction() -> None:
    pipeline = serving(linear(), output={"scalars": True, "qos": 0})
    source = take(pipeline, message(row()))
    sent = infer(pipeline)
    base = "plant/l1/p1/_inference/mass"
    assert [one.topic for one in sent] == [
        base,
        f"{base}/value",
        f"{base}/quality",
        f"{base}/timestamp",
        f"{base}/seq",
    ]
    assert [one.payload for one in sent[1:]] == [b"21.0", b"GOOD", b"%d" % T0_MS, b"1"]
    assert all(one.source is source and one.qos == 0 for one in sent)


def test_detector_has_score_and_label() -> None:
    pipeline = serving(detector_bundle("mass", 1, WEIGHTS, threshold=20.0))
    normal, abnormal = predictions(pipeline, row(0, 0.0), row(1, 1.0))
    assert (normal["value"], normal["score"], normal["label"]) == (0, 20.0, "normal")
    assert (abnormal["value"], abnormal["score"], abnormal["label"]) == (1, 21.0, "abnormal")


def test_id_is_the_same_for_the_same_input_and_bundle_only() -> None:
    ids = {
        told_id(linear()),
        told_id(linear()),
    }
    assert len(ids) == 1
    (other_asset,) = _one(serving(linear()), message(row(), "plant/l1/p2/telemetry"))
    (other_time,) = _one(serving(linear()), message(row(1)))
    (other_value,) = _one(serving(linear()), message(row(c0=1.5)))
    (other_bundle,) = _one(serving(linear(seq=2)), message(row()))
    assert len(ids | {other_asset, other_time, other_value, other_bundle}) == 5


def _one(pipeline: Pipeline, received: Received) -> list[str]:
    take(pipeline, received)
    return [json.loads(outgoing.payload)["id"] for outgoing in infer(pipeline)]


def test_id_of_a_message_with_a_sequence_does_not_depend_on_its_time_of_arrival() -> None:
    source = {"timestamp": "", "sequence": "n"}
    pipeline = serving(linear(), source=source)
    first = _one(pipeline, message(row(n=7)))
    later = message(row(n=7))._replace(at_ns=NOW_NS + 10**9)
    assert _one(serving(linear(), source=source), later) == first
    assert _one(serving(linear(), source=source), message(row(n=8))) != first


def test_several_windows_of_one_message_have_different_ids() -> None:
    pipeline = serving(
        linear(),
        inputs=[{"topic": "plant/{asset}/t", "dialect": "thingsboard"}],
    )
    rows = [{"c0": float(number), "c1": 0.0} for number in range(3)]
    take(pipeline, message(json.dumps(rows).encode(), "plant/p1/t"))
    answers = [json.loads(outgoing.payload) for outgoing in infer(pipeline)]
    assert [one["value"] for one in answers] == [0.0, 1.0, 2.0]
    assert len({one["id"] for one in answers}) == 3


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"{", "not_json"),
        (row(c0="1.0", c1=[1]), "not_a_number"),
        (row(c0=math.nan, c1=math.inf), "not_finite"),
        (b'{"ts": 1, "c0": 1e999}', "not_finite"),
        (b'{"c0": 1, "c0": 1}', "duplicate_key"),
        ({"c0": 1.0, "c1": 1.0}, "time_missing"),
        (row() | {"ts": "now"}, "time_malformed"),
        (row() | {"ts": 0}, "time_past"),
        (row() | {"ts": T0_MS + 365 * 86_400_000}, "time_future"),
        (row(q="fine"), "quality_unknown"),
        ({"ts": T0_MS, "c2": 1.0}, "no_signal"),
    ],
)
def test_bad_message_costs_itself_only(payload: bytes | dict[str, object], reason: str) -> None:
    pipeline = serving(linear())
    assert refusal(pipeline, payload) == reason
    (answer,) = predictions(pipeline, row())
    assert (answer["value"], answer["quality"]) == (21.0, "GOOD")


def test_value_that_cannot_be_read_is_missing_and_counted_in_order_or_not() -> None:
    for disorder_ms in (0, 1000):
        pipeline = serving(linear(), disorder_ms=disorder_ms)
        answers = predictions(pipeline, row(0, c0="1.0"), row(2), row(4))
        assert answers[0]["quality"] == "UNCERTAIN"
        assert answers[1]["quality"] == "GOOD"
        assert pipeline.unread.reasons == {"c0": {"not_a_number": 1}}


def test_unknown_asset_is_refused_where_assets_are_listed() -> None:
    pipeline = serving(linear(), assets=["l1/p1"])
    assert refusal(pipeline, row(), "plant/l1/p2/telemetry") == "unknown_asset"
    assert len(predictions(pipeline, row())) == 1


def test_asset_beyond_the_limit_is_answered_and_another_forgotten() -> None:
    pipeline = serving(linear(), Limits(max_assets=1))
    for asset in ("p1", "p2", "p1"):
        take(pipeline, message(row(), f"plant/l1/{asset}/telemetry"))
        assert len(infer(pipeline)) == 1
    assert pipeline.forgotten_assets == 2


def test_late_and_repeated_readings_are_refused() -> None:
    pipeline = serving(linear(length=2))
    assert len(predictions(pipeline, row(5), row(6))) == 1
    assert refusal(pipeline, row(4)) == "late"
    assert refusal(pipeline, row(6)) == "duplicate"
    assert infer(pipeline) == []


def test_late_row_is_answered_where_a_row_is_a_window() -> None:
    pipeline = serving(linear())
    answers = predictions(pipeline, row(5), row(4), row(6))
    assert [one["timestamp"] - T0_MS for one in answers] == [5000, 4000, 6000]
    assert {one["quality"] for one in answers} == {"GOOD"}
    (again,) = predictions(pipeline, row(4))
    assert again["id"] == answers[1]["id"]
    assert refusal(pipeline, row(6)) == "duplicate"


def test_signal_that_is_not_bound_is_refused() -> None:
    source = {"topic": "plant/{asset}/{signal}", "dialect": "scalar"}
    pipeline = serving(linear(), inputs=[source])
    assert refusal(pipeline, b"1.0", "plant/p1/door") == "unbound_signal"


def test_good_readings_of_a_message_are_taken_although_one_is_refused() -> None:
    pipeline = serving(linear(), inputs=[{"topic": TOPIC, "dialect": "thingsboard"}])
    entries = [
        {"ts": 0, "values": {"c0": 9.0, "c1": 9.0}},
        {"ts": T0_MS, "values": {"c0": 1.0, "c1": 2.0}},
    ]
    assert refusal(pipeline, json.dumps(entries).encode()) == "time_past"
    assert [json.loads(one.payload)["value"] for one in infer(pipeline)] == [21.0]


def test_pipeline_without_a_model_has_no_routes_and_answers_nothing() -> None:
    pipeline = Pipeline(settings(), Limits())
    assert pipeline.route(TOPIC) is None
    assert infer(pipeline) == []
    assert pipeline.missing == {}
    route = serving(linear()).route(TOPIC)
    assert route is not None
    with pytest.raises(DecodeError, match="no_model"):
        pipeline.take(route, message(row()), Input(1, ("", b"")))


def test_missing_value_that_may_be_imputed_is_uncertain() -> None:
    pipeline = serving(linear(median=50.0))
    answers = predictions(pipeline, row(0, c0=None), row(1), {"ts": T0_MS + 2000, "c1": 2.0})
    assert [(one["value"], one["quality"]) for one in answers] == [
        (70.0, "UNCERTAIN"),
        (21.0, "GOOD"),
        (70.0, "UNCERTAIN"),
    ]
    assert pipeline.missing == {"c0": 2}


def test_value_out_of_range_counts_as_missing() -> None:
    (answer,) = predictions(serving(linear(median=50.0)), row(c0=1e6))
    assert (answer["value"], answer["quality"]) == (70.0, "UNCERTAIN")


def test_missing_value_that_is_required_gives_no_value_and_is_bad() -> None:
    channels = make_channels(2, missing="require")
    pipeline = serving(linear(channels=channels))
    bad, good = predictions(pipeline, row(0, c0=None), row(1))
    assert (bad["value"], bad["quality"], good["value"]) == (None, "BAD", 21.0)
    assert pipeline.inference.counted.predictions == {"BAD": 1, "GOOD": 1}


def test_stale_value_is_not_frozen() -> None:
    channels = make_channels(2, max_age_ms=1500)
    source = {"topic": "plant/{asset}/{signal}", "dialect": "umh"}
    pipeline = serving(linear(channels=channels, median=50.0), inputs=[source])
    answers = []
    for number in range(5):
        for channel in ("c0", "c1") if number == 0 else ("c1",):
            reading: dict[str, object] = {"timestamp_ms": T0_MS + 1000 * number, "value": 1.0}
            take(pipeline, message(reading, f"plant/p1/{channel}"))
        answers += [json.loads(outgoing.payload) for outgoing in infer(pipeline)]
    assert [(one["value"], one["quality"]) for one in answers] == [
        (11.0, "GOOD"),
        (11.0, "GOOD"),
        (60.0, "UNCERTAIN"),
        (60.0, "UNCERTAIN"),
    ]


@pytest.mark.parametrize(
    ("stated", "published"), [("uncertain", "UNCERTAIN"), ("bad", "UNCERTAIN")]
)
def test_quality_is_never_better_than_that_of_the_input(stated: str, published: str) -> None:
    (prediction,) = predictions(serving(linear()), row(q=stated))
    assert prediction["quality"] == published


def test_bad_input_of_a_required_channel_is_bad() -> None:
    pipeline = serving(linear(channels=make_channels(2, missing="require")))
    (prediction,) = predictions(pipeline, row(q="bad"))
    assert (prediction["quality"], prediction["value"]) == ("BAD", None)


def test_worst_sample_of_the_window_decides_its_quality() -> None:
    pipeline = serving(linear(length=3))
    answers = predictions(
        pipeline, *(row(n, q="uncertain" if n == 1 else "good") for n in range(6))
    )
    assert [one["quality"] for one in answers] == ["UNCERTAIN", "UNCERTAIN", "GOOD", "GOOD"]


def test_answer_that_is_no_number_is_null_and_bad() -> None:
    channels = tuple(Channel(name=f"c{n}") for n in range(2))
    pipeline = serving(linear(channels=channels))
    (answer,) = predictions(pipeline, row(c0=3e38, c1=3e38))  # beyond float32 once it is weighted
    assert (answer["value"], answer["quality"]) == (None, "BAD")


@given(
    c0=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    c1=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    q=st.sampled_from(["good", "uncertain", "bad", 8, 192, None]),
)
def test_prediction_never_says_nan(c0: float | None, c1: float | None, q: object) -> None:
    channels = tuple(Channel(name=f"c{n}") for n in range(2))
    (answer,) = predictions(serving(linear(channels=channels)), row(0, c0, c1, q=q))
    assert answer["value"] is None or math.isfinite(answer["value"])
    assert (answer["value"] is None) == (answer["quality"] == "BAD")


def test_model_that_fails_gives_bad_predictions_until_it_works_again() -> None:
    pipeline = serving(linear(fails_above=50.0))
    answers = predictions(pipeline, row(c0=90.0, c1=90.0))
    assert [(one["value"], one["quality"]) for one in answers] == [(None, "BAD")]
    assert answers[0]["reason"] == "model_failed"
    failure = pipeline.inference.failure
    assert failure is not None
    assert (failure.batches, failure.error.code) == (1, "model_failed")
    assert "out of" in str(failure.error), "onnxruntime's own words"
    assert predictions(pipeline, row(1))[0]["value"] == 21.0
    assert pipeline.inference.failure is None


def test_bad_windows_do_not_shift_the_answers_of_the_others() -> None:
    pipeline = serving(linear(channels=make_channels(2, missing="require")))
    answers = predictions(
        pipeline, row(0, 1.0), row(1, None), row(2, 3.0), row(3, None), row(4, 5.0)
    )
    assert [one["value"] for one in answers] == [21.0, None, 23.0, None, 25.0]


def test_next_model_of_the_same_windows_keeps_those_under_way() -> None:
    pipeline = serving(linear(length=3))
    assert predictions(pipeline, row(0), row(1)) == []
    following = linear(length=3, seq=2, bias=0.5)
    assert pipeline.activate(Model(Session(following), following.sha256))
    (answer,) = predictions(pipeline, row(2))
    assert (answer["value"], answer["seq"], answer["version"]) == (21.5, 2, "1.0.2")


def test_model_of_other_windows_starts_them_anew() -> None:
    pipeline = serving(linear(length=3))
    predictions(pipeline, row(0), row(1))
    shorter = linear(length=2, seq=2)
    assert not pipeline.activate(Model(Session(shorter), shorter.sha256))
    assert predictions(pipeline, row(2)) == []
    assert len(predictions(pipeline, row(3))) == 1


def test_model_that_does_not_fit_the_topics_leaves_the_one_that_serves() -> None:
    pipeline = serving(linear())
    strange = linear_bundle("mass", 2, [1.0, 1.0, 1.0])
    with pytest.raises(IncompatibleBundleError, match="input"):
        Pipeline(settings(source={"signals": {"c0": "x", "c1": "y"}}), Limits()).activate(
            Model(Session(strange), strange.sha256)
        )
    assert pipeline.model is not None
    assert predictions(pipeline, row())[0]["seq"] == 1


def test_hop_and_gap_of_the_manifest_are_kept() -> None:
    window = WindowSpec(length=2, hop=2, max_gap_ms=5000)
    pipeline = serving(linear(window=window))
    answers = predictions(pipeline, *(row(n) for n in (0, 1, 2, 3, 13, 14)), row(15))
    assert [(one["timestamp"] - T0_MS) // 1000 for one in answers] == [1, 3, 14]


def test_predictions_equal_those_of_the_session_alone() -> None:
    bundle = linear(length=4)
    pipeline = serving(bundle)
    values = np.random.default_rng(1).uniform(-50, 50, (20, 2))
    answers = predictions(pipeline, *(row(n, *pair) for n, pair in enumerate(values.tolist())))
    windows = np.lib.stride_tricks.sliding_window_view(values.astype(np.float32), 4, axis=0)
    offline = Session(bundle).run(np.ascontiguousarray(windows.transpose(0, 2, 1)))
    assert [one["value"] for one in answers] == offline["value"].tolist()


def test_prediction_that_waits_takes_no_more_memory_than_its_text() -> None:
    pipeline = serving(linear())
    take(pipeline, message(row()))
    infer(pipeline)  # what is made once is not what is asked for
    for number in range(1, 101):
        take(pipeline, message(row(ts=T0_MS + number)))
    tracemalloc.start()
    waiting = infer(pipeline)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(waiting) == 100
    assert taken / 100 < len(waiting[0].payload) + 512
