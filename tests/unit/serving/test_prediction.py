"""What is published of a prediction: one JSON object, and plain values."""

import json
from typing import Any

from models.input.quality import Quality
from serving.prediction import Identity, Prediction, PredictionEncoder


def make_prediction(**fields: object) -> Prediction:
    parts: dict[str, Any] = {
        "value": 2.5,
        "score": None,
        "label": None,
        "quality": Quality.GOOD,
        "timestamp_ms": 1_700_000_000_000,
        "id": "0" * 32,
        "asset": "l1/p1",
        "latency_ms": 0.25,
        "input_age_ms": 12,
    }
    return Prediction(**(parts | fields))


ENCODER = PredictionEncoder(stream="rul", version="1.2.3", seq=7, unit="h")


def test_prediction_is_one_flat_object() -> None:
    assert json.loads(ENCODER.encode(make_prediction())) == {
        "value": 2.5,
        "quality": "GOOD",
        "timestamp": 1_700_000_000_000,
        "asset": "l1/p1",
        "stream": "rul",
        "version": "1.2.3",
        "seq": 7,
        "unit": "h",
        "id": "0" * 32,
        "latency_ms": 0.25,
        "input_age_ms": 12,
    }


def test_prediction_has_score_label_and_unit_only_where_they_exist() -> None:
    encoder = PredictionEncoder(stream="s", version="1.0.0", seq=1, unit="")
    document = json.loads(encoder.encode(make_prediction(score=0.75, label="worn")))
    assert (document["score"], document["label"]) == (0.75, "worn")
    assert "unit" not in document


def test_prediction_without_a_value_says_null() -> None:
    document = json.loads(ENCODER.encode(make_prediction(value=None, quality=Quality.BAD)))
    assert document["value"] is None
    assert document["quality"] == "BAD"


def test_scalars_are_plain_and_a_missing_value_is_empty() -> None:
    assert ENCODER.scalars(make_prediction(score=0.5)) == [
        ("value", b"2.5"),
        ("quality", b"GOOD"),
        ("timestamp", b"1700000000000"),
        ("seq", b"7"),
        ("score", b"0.5"),
    ]
    assert ENCODER.scalars(make_prediction(value=None))[0] == ("value", b"")


def test_id_is_of_bundle_stream_asset_position_ordinal_and_content() -> None:
    first = Identity("a" * 64, "rul").of("l1/p1", 7, 0, b"{}")
    assert first == Identity("a" * 64, "rul").of("l1/p1", "7", 0, b"{}")
    others = {
        Identity("b" * 64, "rul").of("l1/p1", 7, 0, b"{}"),
        Identity("a" * 64, "nox").of("l1/p1", 7, 0, b"{}"),
        Identity("a" * 64, "rul").of("l1/p2", 7, 0, b"{}"),
        Identity("a" * 64, "rul").of("l1/p1", 8, 0, b"{}"),
        Identity("a" * 64, "rul").of("l1/p1", 7, 1, b"{}"),
        Identity("a" * 64, "rul").of("l1/p1", 7, 0, b"[]"),
    }
    assert len(others - {first}) == 6
