"""Models are loaded and unloaded by request only where that is allowed, and only signed ones."""

import shlex
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.children import ROOT, run
from tests.kit.model_server import ModelServer, Reply
from tests.kit.waiting import eventually

LOAD, UNLOAD = "/v2/repository/models/mass/load", "/v2/repository/models/mass/unload"
INFER = "/v2/models/mass/infer"
TENSOR = {"name": "window", "datatype": "FP32", "shape": [1, 1, 2], "data": [1, 2]}
GUIDE = ROOT / "docs/api.md"
CALL = "curl -s localhost:8470/v2/repository/models/"
STREAMS = [{"stream": "mass"}]
ALLOWED = {"server": {"repository_control": True}, "updates": {"allow_downgrade": True}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server that has seq 1 to 3, the last of which fails its golden windows."""
    folder: Path = tmp_path_factory.mktemp("server")
    published = Published.create(folder)
    for seq in (1, 2):
        published.publish(linear_bundle("mass", seq, [1.0, 10.0], bias=1000.0 * seq))
    with ModelServer(folder / "home", published, STREAMS, ALLOWED) as made:
        made.start_serving()
        published.publish(linear_bundle("mass", 3, [1.0, 10.0], golden_wrong=True))
        eventually(lambda: "golden_mismatch" in made.log, 20.0)
        yield made


def infer(server: ModelServer) -> Reply:
    return server.request("POST", INFER, {"inputs": [TENSOR]})


def load(server: ModelServer, version: object = None) -> Reply:
    parameters: dict[str, Any] = {} if version is None else {"version": version}
    return server.request("POST", LOAD, {"parameters": parameters})


def serves_other(server: ModelServer, seq: int) -> bool:
    versions: list[str] = server.request("GET", "/v2/models/other").document["versions"]
    return versions == [str(seq)]


def index(server: ModelServer) -> list[tuple[str, str, str]]:
    found = server.request("POST", "/v2/repository/index").document
    return [(one["version"], one["state"], one["reason"]) for one in found]


def test_model_is_loaded_by_its_number_and_answers_at_once(server: ModelServer) -> None:
    for version in (1, "2", 1):
        assert load(server, version).status == 200
        assert infer(server).document["model_version"] == str(version)
        assert index(server) == [(str(version), "READY", "")]


def test_unloaded_model_answers_no_more_until_it_is_loaded(server: ModelServer) -> None:
    load(server, 2)
    reply = server.request("POST", UNLOAD, {"parameters": {"unload_dependents": False}})
    assert reply.status == 200
    refused = infer(server)
    assert (refused.status, "unloaded" in refused.error) == (503, True)
    assert index(server) == [("", "UNAVAILABLE", "unloaded")]
    assert server.request("GET", "/v2/models/mass/ready").status == 503
    assert server.request("GET", "/v2/health/ready").status == 200
    assert load(server, 2).status == 200
    assert infer(server).status == 200


def test_unloaded_model_is_not_brought_back_by_a_newer_bundle(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    published.publish(linear_bundle("other", 1, [1.0, 10.0]))
    streams = [*STREAMS, {"stream": "other"}]
    with ModelServer(tmp_path / "home", published, streams, ALLOWED) as server:
        server.start_serving()
        assert server.request("POST", UNLOAD).status == 200
        published.publish(linear_bundle("mass", 2, [1.0, 10.0]))
        for seq in (2, 3):  # the other stream is polled as often as this one would be
            published.publish(linear_bundle("other", seq, [1.0, 10.0]))
            eventually(lambda seq=seq: serves_other(server, seq), 20.0)  # type: ignore[misc]  # a default binds it
        assert infer(server).status == 503
        assert load(server).status == 200
        assert infer(server).document["model_version"] == "2"


def test_bundle_that_fails_its_proof_is_refused_and_what_served_goes_on(
    server: ModelServer,
) -> None:
    load(server, 2)
    refused = load(server, 3)
    assert refused.status == 400
    assert "golden_mismatch" in refused.error
    assert infer(server).document["model_version"] == "2"


def test_bundle_that_is_not_signed_is_refused(server: ModelServer) -> None:
    refused = load(server, 77)
    assert refused.status == 400
    assert "not_published" in refused.error


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (LOAD, {"parameters": {"config": "{}"}}),
        (LOAD, {"parameters": {"file:1/model.onnx": "AAAA"}}),
        (LOAD, {"parameters": {"version": 0}}),
        (LOAD, {"parameters": {"version": True}}),
        (LOAD, {"parameters": {"version": "1.0.1"}}),
        (LOAD, {"parameters": []}),
        (LOAD, b"["),
        (LOAD, b"[]"),
        (UNLOAD, {"parameters": {"version": 1}}),
    ],
)
def test_malformed_request_is_refused_with_what_is_allowed(
    server: ModelServer, path: str, body: bytes | dict[str, Any]
) -> None:
    reply = server.request("POST", path, body)
    assert reply.status == 400
    assert any(word in reply.error for word in ("allowed", "must be"))


def test_unknown_model_is_not_found(server: ModelServer) -> None:
    assert server.request("POST", "/v2/repository/models/none/load").status == 404


def test_requests_during_loads_and_unloads_are_answered_rightly_or_refused(
    server: ModelServer,
) -> None:
    load(server, 1)
    enough, replies = threading.Event(), []

    def ask() -> None:
        while not enough.is_set():
            replies.append(infer(server))

    client = threading.Thread(target=ask)
    client.start()
    for version in (2, 1):
        assert load(server, version).status == 200
        assert server.request("POST", UNLOAD).status == 200
        assert load(server, version).status == 200
    eventually(lambda: any(reply.status == 200 for reply in replies), 20.0)
    enough.set()
    client.join()
    assert {reply.status for reply in replies} <= {200, 503}
    for reply in replies:
        if reply.status == 200:
            document = reply.document
            assert document["outputs"][0]["data"] == [21 + 1000 * int(document["model_version"])]


def test_calls_of_the_guide_work_as_written(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    for seq in (3, 4):
        published.publish(linear_bundle("pump-health", seq, [1.0, 10.0]))
    streams = [{"stream": "pump-health"}]
    with ModelServer(tmp_path / "home", published, streams, ALLOWED) as server:
        server.start_serving()
        calls = [line for line in GUIDE.read_text().splitlines() if line.startswith(CALL)]
        assert len(calls) == 2
        for call, left in zip(calls, ("3", ""), strict=True):
            command = [*shlex.split(call.replace("8470", str(server.port))), "--fail"]
            assert run(command, 20.0) == "{}"
            assert index(server)[0][0] == left


@pytest.mark.parametrize("path", [LOAD, UNLOAD])
def test_control_is_refused_unless_the_configuration_allows_it(tmp_path: Path, path: str) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    with ModelServer(tmp_path / "home", published, STREAMS) as server:
        server.start_serving()
        refused = server.request("POST", path, {})
        assert refused.status == 403
        assert "server.repository_control" in refused.error
        assert infer(server).status == 200
