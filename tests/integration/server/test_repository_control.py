"""Models are loaded and unloaded by request only where that is allowed, and only signed ones."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.access.tokens import made
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.children import ROOT
from tests.kit.model_server import LOOKS, ModelServer, Reply
from tests.kit.waiting import eventually

LOAD, UNLOAD = "/v2/repository/models/mass/load", "/v2/repository/models/mass/unload"
INFER = "/v2/models/mass/infer"
TENSOR = {"name": "window", "datatype": "FP32", "shape": [1, 1, 2], "data": [1, 2]}
GUIDE = (ROOT / "docs/api.md").read_text()
CALL = re.compile(r"^curl (?:.*\\\n)*.*/v2/repository/models/.*$", re.MULTILINE)
STREAMS = [{"stream": "mass"}]
OPEN: dict[str, object] = {"open_scopes": ["infer", "read", "admin"]}
ALLOWED: dict[str, dict[str, object]] = {
    "server": {"repository_control": True},
    "updates": {"allow_downgrade": True},
    "access": OPEN,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server that has seq 1 to 3, the last of which fails its golden windows."""
    folder: Path = tmp_path_factory.mktemp("server")
    published = Published.create(folder)
    for seq in (1, 2):
        published.publish(linear_bundle("mass", seq, [1.0, 10.0], bias=1000.0 * seq))
    sections = {**ALLOWED, "registry": LOOKS}
    with ModelServer(folder / "home", published, STREAMS, sections) as one:
        one.start_serving()
        published.publish(linear_bundle("mass", 3, [1.0, 10.0], golden_wrong=True))
        eventually(lambda: "golden_mismatch" in one.log, 20.0)
        yield one


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
    (listed,) = server.request("GET", "/v1/streams").document["streams"]
    assert (listed["state"], listed["reason"]) == ("UNAVAILABLE", "unloaded")
    predicted = server.request("POST", "/v1/streams/mass/predict", {"readings": [{}]})
    assert (predicted.status, "unloaded" in predicted.error) == (503, True)
    assert server.request("GET", "/v2/models/mass/ready").status == 503
    assert server.request("GET", "/v2/health/ready").status == 200
    assert load(server, 2).status == 200
    assert infer(server).status == 200


def test_unloaded_model_is_not_brought_back_by_a_newer_bundle(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    published.publish(linear_bundle("other", 1, [1.0, 10.0]))
    streams = [*STREAMS, {"stream": "other"}]
    sections = {**ALLOWED, "registry": LOOKS}
    with ModelServer(tmp_path / "home", published, streams, sections) as server:
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
    assert any(word in reply.error for word in ("allowed", "is not JSON", "is no JSON object"))


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
    tokens_file = tmp_path / "tokens"
    token, line = made("operator", ["admin"])
    tokens_file.write_text(line)
    tokens_file.chmod(0o600)
    access: dict[str, object] = {"tokens_file": str(tokens_file), "open_scopes": ["read"]}
    sections = {**ALLOWED, "access": access}
    streams = [{"stream": "pump-health"}]
    with ModelServer(tmp_path / "home", published, streams, sections) as server:
        server.start_serving()
        calls = CALL.findall(GUIDE)
        assert len(calls) == 2
        for call, left in zip(calls, ("3", ""), strict=True):
            command = f"{call.replace('8470', str(server.port))} --fail-with-body"
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                env=os.environ | {"TOKEN": token},
                capture_output=True,
                timeout=20.0,
                check=False,
            )
            assert (done.returncode, done.stdout) == (0, b"{}")
            assert index(server)[0][0] == left


@pytest.mark.parametrize("path", [LOAD, UNLOAD])
def test_control_needs_a_token_with_the_scope_admin(tmp_path: Path, path: str) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    sections = {"server": ALLOWED["server"]}
    with ModelServer(tmp_path / "home", published, STREAMS, sections) as server:
        server.start_serving()
        refused = server.request("POST", path, {})
        assert refused.status == 401
        assert "scope admin" in refused.error
        assert infer(server).status == 200


@pytest.mark.parametrize("path", [LOAD, UNLOAD])
def test_control_is_refused_unless_the_configuration_allows_it(tmp_path: Path, path: str) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    with ModelServer(tmp_path / "home", published, STREAMS, {"access": OPEN}) as server:
        server.start_serving()
        refused = server.request("POST", path, {})
        assert refused.status == 403
        assert "server.repository_control" in refused.error
        assert infer(server).status == 200
