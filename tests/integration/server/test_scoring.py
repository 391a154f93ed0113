"""Clients of MLflow's scoring server: four forms, and errors in MLflow's shape."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.kit.bundles.factories import make_channels
from tests.kit.bundles.graphs import detector_bundle, linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.model_server import ModelServer, Reply

REQUIRED = make_channels(2, missing="require")
BUNDLES = (
    linear_bundle("mass", 1, [1.0, 10.0]),
    linear_bundle("window", 1, [1.0, 10.0], length=2, channels=REQUIRED),
    detector_bundle("alarm", 1, [1.0, 10.0], threshold=3.0),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    folder = tmp_path_factory.mktemp("server")
    published = Published.create(folder)
    for bundle in BUNDLES:
        published.publish(bundle)
    streams = [{"stream": bundle.manifest.stream} for bundle in BUNDLES]
    with ModelServer(folder / "home", published, streams) as made:
        yield made.start_serving()


Body = bytes | Mapping[str, Any]


def scored(server: ModelServer, body: Body, stream: str = "mass") -> Reply:
    return server.request("POST", f"/invocations?stream={stream}", body)


FORMS: dict[str, Body] = {
    "split": {"dataframe_split": {"columns": ["c1", "c0"], "data": [[2, 1], [4, 3]]}},
    "split with index": {
        "dataframe_split": {"index": [0, 1], "columns": ["c0", "c1"], "data": [[1, 2], [3, 4]]}
    },
    "records": {"dataframe_records": [{"c0": 1, "c1": 2}, {"c0": 3, "c1": 4}]},
    "instances by name": {"instances": [{"c0": 1, "c1": 2}, {"c0": 3, "c1": 4}]},
    "instances of rows": {"instances": [[1, 2], [3, 4]]},
    "instances of windows": {"instances": [[[1, 2]], [[3, 4]]]},
    "instances of named windows": {"instances": [{"window": [[1, 2]]}, {"window": [[3, 4]]}]},
    "inputs by name": {"inputs": {"c0": [1, 3], "c1": [2, 4]}},
    "inputs of objects": {"inputs": [{"c0": 1, "c1": 2}, {"c0": 3, "c1": 4}]},
    "inputs of rows": {"inputs": [[1, 2], [3, 4]]},
    "inputs of windows": {"inputs": [[[1, 2]], [[3, 4]]]},
    "inputs of named windows": {"inputs": {"window": [[[1, 2]], [[3, 4]]]}},
    "with no params": {"inputs": [[1, 2], [3, 4]], "params": None},
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_answered_by_a_prediction_a_row(server: ModelServer, form: str) -> None:
    found = scored(server, FORMS[form]).document["predictions"]
    assert [(one["value"], one["quality"]) for one in found] == [(21.0, "GOOD"), (43.0, "GOOD")]


def test_columns_may_be_the_time_and_the_asset(server: ModelServer) -> None:
    columns = ["time", "asset", "c0", "c1"]
    lines = [[1_769_853_600_000 + 1000 * n, "ab"[n % 2], n, 0] for n in range(6)]
    body = {"dataframe_split": {"columns": columns, "data": lines}}
    found = scored(server, body, "window").document["predictions"]
    assert [(one["asset"], one["value"]) for one in found] == [
        ("a", 2.0),
        ("b", 3.0),
        ("a", 4.0),
        ("b", 5.0),
    ]
    assert found[0]["timestamp"] == 1_769_853_602_000


def test_inputs_without_a_list_are_one_row(server: ModelServer) -> None:
    (found,) = scored(server, {"inputs": {"c0": 1, "c1": 2}}).document["predictions"]
    assert found["value"] == 21.0


@pytest.mark.parametrize("missing", ["NaN", "null", "Infinity", "1e9"])
def test_missing_value_is_one_however_pandas_has_written_it(
    server: ModelServer, missing: str
) -> None:
    body = f'{{"dataframe_records": [{{"c0": {missing}, "c1": 2}}]}}'.encode()
    (found,) = scored(server, body).document["predictions"]
    assert (found["value"], found["quality"]) == (20.0, "UNCERTAIN")


@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_window_without_a_required_value_is_answered_bad(server: ModelServer, key: str) -> None:
    windows = [[[1, 2], [3, 4]], [[1, None], [3, 4]]]
    good, bad = scored(server, {key: windows}, "window").document["predictions"]
    assert (good["value"], good["quality"]) == (43.0, "GOOD")
    assert (bad["value"], bad["quality"], bad["reason"]) == (None, "BAD", "input_missing")


@pytest.mark.parametrize("params", [{"stream": "alarm"}, {"stream": "alarm", "version": "1.0.1"}])
def test_stream_may_be_named_in_params(server: ModelServer, params: dict[str, str]) -> None:
    body = {"instances": [[1, 2]], "params": params}
    (found,) = server.request("POST", "/invocations", body).document["predictions"]
    assert (found["label"], found["version"]) == ("abnormal", "1.0.1")


BAD: dict[str, tuple[str, Body, int, str, str]] = {
    "not json": ("mass", b"{", 400, "BAD_REQUEST", "not JSON"),
    "list": ("mass", b"[]", 400, "BAD_REQUEST", "no JSON object"),
    "no form": ("mass", {"columns": []}, 400, "BAD_REQUEST", "exactly one of dataframe_split"),
    "two forms": ("mass", {"inputs": [], "instances": []}, 400, "BAD_REQUEST", "inputs, instances"),
    "no rows": ("mass", {"instances": []}, 400, "BAD_REQUEST", "it is no list"),
    "no records": ("mass", {"dataframe_records": {}}, 400, "BAD_REQUEST", "it is no list"),
    "column": ("mass", {"inputs": {"c2": [1]}}, 400, "BAD_REQUEST", "allowed are c0, c1"),
    "columns": (
        "mass",
        {"dataframe_split": {"columns": ["c0", "c0"], "data": []}},
        400,
        "BAD_REQUEST",
        "names that differ",
    ),
    "lengths": ("mass", {"inputs": {"c0": [1], "c1": [1, 2]}}, 400, "BAD_REQUEST", "[1, 2] values"),
    "short row": ("mass", {"instances": [[1]]}, 400, "BAD_REQUEST", "allowed are 2 values: c0, c1"),
    "one axis": (
        "mass",
        {"instances": [1, 2]},
        400,
        "BAD_REQUEST",
        "the array is [1, 2]; allowed are rows, [[...]], with the signals c0, c1, or windows",
    ),
    "text": ("mass", {"instances": [[1, "wet"]]}, 400, "BAD_REQUEST", "'c1' is 'wet'"),
    "text in a window": ("mass", {"inputs": [[[1, "wet"]]]}, 400, "BAD_REQUEST", "text; allowed"),
    "large number": (
        "mass",
        b'{"instances": [[1, 1' + b"0" * 400 + b"], [NaN, 1]]}",
        400,
        "BAD_REQUEST",
        "Integer exceeds 64-bit range",
    ),
    "lone surrogate": (
        "mass",
        b'{"dataframe_records": [{"c0": NaN, "asset": "\\ud800"}]}',
        400,
        "BAD_REQUEST",
        "surrogates not allowed",
    ),
    "params": (
        "mass",
        {"instances": [[1, 2]], "params": {"temperature": 1}},
        400,
        "BAD_REQUEST",
        "params has 'temperature'",
    ),
    "stream twice": (
        "mass",
        {"instances": [[1, 2]], "params": {"stream": "alarm"}},
        400,
        "BAD_REQUEST",
        "each here or in the query",
    ),
    "stream": ("weight", {"instances": [[1, 2]]}, 404, "RESOURCE_DOES_NOT_EXIST", "there are mass"),
    "version": ("mass&version=9", {"inputs": [[1, 2]]}, 404, "RESOURCE_DOES_NOT_EXIST", "are 1"),
    "query": ("mass&verison=1", {"inputs": [[1, 2]]}, 400, "BAD_REQUEST", "allowed is stream, ver"),
    "query twice": ("mass&stream=alarm", {"inputs": [[1, 2]]}, 400, "BAD_REQUEST", "twice"),
    "no stream": ("", {"inputs": [[1, 2]]}, 400, "BAD_REQUEST", "add ?stream= with one of mass"),
}


@pytest.mark.parametrize("case", BAD)
def test_refusal_has_the_shape_of_mlflow(server: ModelServer, case: str) -> None:
    stream, body, status, code, said = BAD[case]
    reply = scored(server, body, stream)
    assert list(reply.document) == ["error_code", "message"]
    assert (reply.status, reply.document["error_code"]) == (status, code)
    assert said in reply.document["message"]


def test_csv_is_refused(server: ModelServer) -> None:
    path, csv = "/invocations?stream=mass", b"c0,c1\n1,2\n"
    reply = server.request("POST", path, csv, Content_Type="text/csv; charset=utf-8")
    assert reply.status == 415
    assert "application/json" in reply.document["message"]


def test_liveness_and_version_are_plain_text(server: ModelServer) -> None:
    for path, body in (("/ping", b"\n"), ("/health", b"\n"), ("/version", b"0.1.0")):
        reply = server.request("GET", path)
        assert (reply.status, reply.body) == (200, body)
        assert reply.headers["content-type"] == "text/plain"


def test_server_of_one_stream_needs_no_name_and_pings_once_it_has_a_model(
    server: ModelServer,
) -> None:
    folder = server.folder / "single"
    with ModelServer(folder, server.published, [{"stream": "alarm"}]) as single:
        single.start()
        single.wait_for_models("/ping")
        (found,) = single.request("POST", "/invocations", {"inputs": [[1, 2]]}).document[
            "predictions"
        ]
    assert found["label"] == "abnormal"


def test_ping_is_refused_without_a_model(server: ModelServer) -> None:
    folder = server.folder / "none"
    with ModelServer(folder, server.published, [{"stream": "nothing"}]) as none:
        none.start()
        reply = none.request("GET", "/ping")
        assert (reply.status, "no model has arrived yet" in reply.error) == (503, True)
