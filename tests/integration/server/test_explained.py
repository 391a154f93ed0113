"""Predictions over HTTP that name the signals they are due to: by the bundle, or because asked."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from models.bundle.explain import Explain
from tests.kit.bundles.graphs import detector_bundle, linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.model_server import ModelServer, Reply

AT_ALARMS = Explain(
    when="alarm", method="shapley", orders=2, reference=0, output="score", alarms=(1,)
)
OF_NUMBERS = Explain(when="alarm", method="occlusion", reference=0, output="value")
ALARM, CALM = {"c0": 20.0, "c1": 5.0}, {"c0": -90.0, "c1": 0.0}
BUNDLES = (
    detector_bundle("alarm", 1, [1.0, 2.0], explain=AT_ALARMS),
    linear_bundle("mass", 1, [1.0, 10.0], explain=OF_NUMBERS),
    linear_bundle("silent", 1, [1.0, 10.0]),
)
STREAMS = [bundle.manifest.stream for bundle in BUNDLES]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    folder = tmp_path_factory.mktemp("server")
    published = Published.create(folder)
    for bundle in BUNDLES:
        published.publish(bundle)
    streams = [{"stream": stream} for stream in STREAMS]
    with ModelServer(
        folder / "home", published, streams, {"predict": {"max_explained": 2}}
    ) as made:
        made.start()
        made.wait_for_models(*(f"/v1/streams/{stream}" for stream in STREAMS))
        yield made


def predict(server: ModelServer, stream: str, rows: object, query: str = "") -> Reply:
    return server.request("POST", f"/v1/streams/{stream}/predict{query}", {"readings": rows})


def which(predictions: Sequence[Mapping[str, Any]]) -> list[int]:
    return [place for place, one in enumerate(predictions) if "why" in one]


def test_the_first_prediction_of_an_alarm_names_its_signals(server: ModelServer) -> None:
    found = predict(server, "alarm", [CALM, ALARM, ALARM, CALM, ALARM]).document
    assert which(found["predictions"]) == [1, 4]
    assert "unexplained" not in found
    total = 120 + 2 * 105  # the reference has -100 everywhere
    assert found["predictions"][1]["why"] == [
        {"signal": "c1", "value": 5.0, "share": pytest.approx(210 / total, abs=1e-3)},
        {"signal": "c0", "value": 20.0, "share": pytest.approx(120 / total, abs=1e-3)},
    ]


def test_a_number_names_its_signals_only_when_asked(server: ModelServer) -> None:
    row = {"c0": 0.0, "c1": None}
    assert which(predict(server, "mass", row).document["predictions"]) == []
    (found,) = predict(server, "mass", row, "?why=true").document["predictions"]
    assert found["why"] == [
        {"signal": "c0", "value": 0.0, "share": 1.0},
        {"signal": "c1", "value": None, "share": None},
    ]


def test_no_reasons_are_given_to_who_wants_none(server: ModelServer) -> None:
    found = predict(server, "alarm", ALARM, "?why=false").document
    assert which(found["predictions"]) == []


def test_a_request_explains_a_bounded_number_and_tells_the_rest(server: ModelServer) -> None:
    before = explanations(server)
    found = predict(server, "alarm", [ALARM] * 5, "?why=true").document
    assert which(found["predictions"]) == [0, 1]
    assert found["unexplained"] == 3
    after = explanations(server)
    assert {outcome: after[outcome] - before[outcome] for outcome in after} == {
        "given": 2,
        "left_out": 3,
    }


def explanations(server: ModelServer) -> dict[str, float]:
    """Explanations of the stream alarm by outcome, as Prometheus reads them."""
    (family,) = [
        one
        for one in text_string_to_metric_families(server.request("GET", "/metrics").body.decode())
        if one.name == "millhand_explanations"
    ]
    return {
        one.labels["outcome"]: one.value for one in family.samples if one.labels["model"] == "alarm"
    }


@pytest.mark.parametrize("query", ["?why=yes", "?why=true&why=true", "?because=true"])
def test_a_query_that_means_nothing_is_refused(server: ModelServer, query: str) -> None:
    assert predict(server, "alarm", ALARM, query).status == 400


def test_who_asks_a_bundle_that_explains_nothing_is_told_so(server: ModelServer) -> None:
    reply = predict(server, "silent", ALARM, "?why=true")
    assert reply.status == 400
    assert "explain" in reply.document["error"]
    assert which(predict(server, "silent", ALARM).document["predictions"]) == []


def test_a_tensor_names_its_signals_where_the_output_why_is_asked_for(server: ModelServer) -> None:
    windows = [[20.0, 5.0], [-90.0, 0.0], [20.0, 5.0]]
    found = infer(server, "alarm", windows, "value", "why")
    assert found["outputs"][0]["data"] == [1, 0, 1]
    assert (found["outputs"][1]["name"], found["outputs"][1]["datatype"]) == ("why", "BYTES")
    first, second, third = found["outputs"][1]["data"]
    assert [one["signal"] for one in json.loads(first)] == ["c1", "c0"]
    assert second
    assert third == ""  # beyond predict.max_explained
    assert "why" not in [one["name"] for one in infer(server, "alarm", windows)["outputs"]]


def test_a_tensor_of_a_bundle_that_explains_nothing_is_refused_its_reasons(
    server: ModelServer,
) -> None:
    found = infer(server, "silent", [[20.0, 5.0]], "why")
    assert "explain" in found["error"]


def infer(
    server: ModelServer, stream: str, windows: list[list[float]], *outputs: str
) -> dict[str, Any]:
    tensor: dict[str, Any] = {"name": "window", "datatype": "FP32", "shape": [len(windows), 1, 2]}
    tensor["data"] = [value for window in windows for value in window]
    wanted = {"outputs": [{"name": name} for name in outputs]} if outputs else {}
    document: dict[str, Any] = server.request(
        "POST", f"/v2/models/{stream}/infer", {"inputs": [tensor], **wanted}
    ).document
    return document


def test_the_description_has_the_parameter_and_the_reasons(server: ModelServer) -> None:
    document = server.request("GET", "/openapi.json").document
    operation = document["paths"]["/v1/streams/{stream}/predict"]["post"]
    assert "why" in [one["name"] for one in operation["parameters"]]
    assert "why" in document["components"]["schemas"]["Prediction"]["properties"]
