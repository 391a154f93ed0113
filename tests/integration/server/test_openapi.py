"""The OpenAPI document as the server serves it, and clients that are made from it."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from server.openapi.document import document
from tests.kit.broker.brokers import HOST
from tests.kit.bundles.graphs import detector_bundle, linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.children import python, run
from tests.kit.model_server import ModelServer
from tests.kit.waiting import eventually

PATH = "/openapi.json"
RUN_S = 60.0
STREAMS = ("mass", "wear.of-tool")
ROUTES = """
import json, sys
from pathlib import Path
from server.app import Program
from server.cli.commands import load
program = Program(load(Path(sys.argv[1])), lambda: None)
print(json.dumps(sorted(program.routes.keys)))
"""
"""Prints method and path of everything that the program answers."""
CLIENT = """
import json, sys
from made.api.open_inference_protocol import infer, model_metadata, version_infer
from made.client import Client
from made.models import InferenceInput, InferenceRequest, Refusal

client = Client(base_url=sys.argv[1])
window = InferenceInput(name="window", datatype="FP32", shape=[2, 1, 2], data=[1, 2, 3, None])
request = InferenceRequest(inputs=[window], id="seven")
found = infer.sync("mass", client=client, body=request)
value, quality = found.outputs
refused = version_infer.sync_detailed("mass", "9", client=client, body=request)
assert isinstance(refused.parsed, Refusal)
print(json.dumps({
    "signals": model_metadata.sync("mass", client=client).parameters.signals,
    "id": found.id,
    "value": value.data,
    "quality": quality.data,
    "refused": [refused.status_code, refused.parsed.error],
}))
"""
"""A program that uses the client that was made."""

PREDICTING = """
import json, sys
from made.api.mass import predict_mass
from made.client import Client
from made.models import PredictMassBody, PredictMassBodyReadingsItem as Reading

body = PredictMassBody(readings=[Reading(c0=1.0, c1=2.0)])
(prediction,) = predict_mass.sync(client=Client(base_url=sys.argv[1]), body=body).predictions
print(json.dumps({"value": prediction.value, "seq": prediction.seq}))
"""
"""A program that uses the same client for readings."""


class Served(NamedTuple):
    """A server, and the document that it served before a model had arrived."""

    server: ModelServer
    empty: Mapping[str, Any]
    published: Published

    @property
    def document(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.server.request("GET", PATH).document
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of a regression and of a detector."""
    folder: Path = tmp_path_factory.mktemp("server")
    published = Published.create(folder)
    streams = [{"stream": one} for one in STREAMS]
    with ModelServer(folder / "home", published, streams) as server:
        server.start()
        empty = server.request("GET", PATH).document
        published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
        published.publish(detector_bundle(STREAMS[1], 1, [1.0, -1.0], length=3))
        eventually(lambda: server.request("GET", "/v2/health/ready").status == 200, 20.0)
        yield Served(server, empty, published)


@pytest.fixture(scope="module")
def made(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a package `made`: a client, made from the document that is served."""
    folder: Path = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_bytes(served.server.request("GET", PATH).body)
    (folder / "config.yaml").write_text("post_hooks: []\n")  # by default Ruff formats the client
    generate = python("openapi_python_client", "generate", "--meta", "none", "--fail-on-warning")
    paths = {"path": "openapi.json", "config": "config.yaml", "output-path": "made"}
    run([*generate, *(f"--{name}={folder / one}" for name, one in paths.items())], RUN_S)
    return folder


def methods(found: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, one in found["paths"].items() for method in one}


def test_document_is_openapi_3_1(served: Served) -> None:
    for found in (served.empty, served.document):
        assert found["openapi"].startswith("3.1.")
        OpenAPIV31SpecValidator(found).validate()


def test_document_names_what_the_server_answers_and_nothing_else(served: Served) -> None:
    config = served.server.folder / "server.toml"
    answered = json.loads(run([sys.executable, "-c", ROUTES, str(config)], RUN_S))
    assert methods(served.empty) == {(method, path) for method, path in answered}
    of_streams = methods(served.document) - methods(served.empty)
    assert of_streams == {
        ("POST", path)
        for name in STREAMS
        for path in (f"/v2/models/{name}/infer", f"/v1/streams/{name}/predict")
    }
    for method, path in of_streams:
        refused = served.server.request("PURGE", path)
        assert (refused.status, refused.headers["allow"]) == (405, method)


def test_answers_of_the_whole_suite_are_held_to_the_document_that_is_served(
    served: Served,
) -> None:
    """`ModelServer.request` takes the document from where the server takes it."""
    assert served.empty == json.loads(json.dumps(document(methods(served.empty))))
    for kind, found in served.empty["components"].items():
        assert found.items() <= served.document["components"][kind].items()


@pytest.mark.parametrize("stream", STREAMS)
def test_example_of_a_stream_is_answered_as_it_says(served: Served, stream: str) -> None:
    path = f"/v2/models/{stream}/infer"
    sent, wanted = example(served, path)
    found = served.server.request("POST", path, sent).document
    *numbers, quality = found.pop("outputs")
    *wanted_numbers, wanted_quality = wanted.pop("outputs")
    assert (found, quality) == (wanted, wanted_quality)
    for one, other in zip(numbers, wanted_numbers, strict=True):
        assert one.pop("data") == pytest.approx(other.pop("data"), rel=1e-5)
        assert one == other


@pytest.mark.parametrize("stream", STREAMS)
def test_same_window_is_the_example_for_readings(served: Served, stream: str) -> None:
    path = f"/v1/streams/{stream}/predict"
    sent, _ = example(served, path)
    (found,) = served.server.request("POST", path, sent).document["predictions"]
    _, wanted = example(served, f"/v2/models/{stream}/infer")
    assert found["value"] == pytest.approx(wanted["outputs"][0]["data"][0], rel=1e-5)
    assert found["quality"] == "GOOD"


def example(served: Served, path: str) -> tuple[Any, Any]:
    """What the document has as an example of a request and of its answer, if it has one."""
    operation = served.document["paths"][path]["post"]
    request, answer = operation["requestBody"], operation["responses"]["200"]
    sent, wanted = (one["content"]["application/json"] for one in (request, answer))
    return sent["example"], wanted.get("example")


def test_document_follows_a_new_version(served: Served) -> None:
    def said() -> str:
        text: str = served.document["paths"]["/v2/models/mass/infer"]["post"]["description"]
        return text

    assert "version 1.0.1 (seq 1)" in said()
    served.published.publish(linear_bundle("mass", 2, [1.0, 10.0]))
    eventually(lambda: "version 1.0.2 (seq 2)" in said(), 20.0)


def test_client_that_was_generated_asks_the_server(served: Served, made: Path) -> None:
    found = asked(served, made, CLIENT)
    assert found.pop("refused")[0] == 404
    assert found == {
        "signals": "c0, c1",
        "id": "seven",
        "value": [21.0, 3.0],
        "quality": ["GOOD", "UNCERTAIN"],
    }


def asked(served: Served, made: Path, program: str) -> Any:  # noqa: ANN401  any JSON value
    """What a program prints that uses the client that was made."""
    path = made / "program.py"
    path.write_text(program)
    address = f"http://{HOST}:{served.server.port}"
    return json.loads(run([sys.executable, "-W", "error", str(path), address], RUN_S))


def test_client_that_was_generated_asks_by_the_names_of_signals(served: Served, made: Path) -> None:
    assert asked(served, made, PREDICTING)["value"] == 21.0
