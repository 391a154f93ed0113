"""The OpenAPI document as the server serves it, and clients that are made from it."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from models.bundle.manifest import Channel
from server.openapi.document import document
from server.openapi.page import is_of_the_page
from tests.kit.broker.brokers import HOST
from tests.kit.bundles.graphs import detector_bundle, linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.children import ROOT, run
from tests.kit.model_server import LOOKS, ModelServer
from tests.kit.waiting import eventually

PATH = "/openapi.json"
RUN_S = 60.0
STREAMS = ("pump-health", "wear.of-tool")
CHANNELS = (
    Channel(name="pressure", unit="bar", valid_range=(0.0, 10.0)),
    Channel(name="flow", unit="m3/h", valid_range=(0.0, 60.0)),
)
GUIDE = (ROOT / "docs/api.md").read_text()
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
from plant.api.open_inference_protocol import infer, model_metadata, version_infer
from plant.client import Client
from plant.models import InferenceInput, InferenceRequest, Refusal

client = Client(base_url="http://localhost:8470")
window = InferenceInput(name="window", datatype="FP32", shape=[2, 1, 2], data=[1, 2, 3, None])
request = InferenceRequest(inputs=[window], id="seven")
found = infer.sync("pump-health", client=client, body=request)
value, quality = found.outputs
refused = version_infer.sync_detailed("pump-health", "9", client=client, body=request)
assert isinstance(refused.parsed, Refusal)
print(json.dumps({
    "signals": model_metadata.sync("pump-health", client=client).parameters.signals,
    "id": found.id,
    "value": value.data,
    "quality": quality.data,
    "refused": [refused.status_code, "there are 1" in refused.parsed.error],
}))
"""
"""A program that uses the client that was made."""


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
    with ModelServer(folder / "home", published, streams, {"registry": LOOKS}) as server:
        server.start()
        empty = server.request("GET", PATH).document
        published.publish(linear_bundle(STREAMS[0], 1, [1.0, 10.0], channels=CHANNELS))
        published.publish(detector_bundle(STREAMS[1], 1, [1.0, -1.0], length=3))
        eventually(lambda: server.request("GET", "/v2/health/ready").status == 200, 20.0)
        yield Served(server, empty, published)


@pytest.fixture(scope="module")
def plant(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the package `plant`: a client, made as the guide says, without a warning."""
    folder: Path = tmp_path_factory.mktemp("client")
    led = led_here(block("sh"), served).replace("generate", "generate --fail-on-warning")
    programs = Path(sys.executable).parent
    line = f'set -e; export PATH="{programs}:$PATH"; cd "{folder}"; {led}'
    run(["/bin/sh", "-c", line], RUN_S)
    return folder


def block(language: str) -> str:
    """Content of the one block of a language in the guide's section on OpenAPI."""
    section = GUIDE.split("## Describe itself")[1].split("\n## ")[0]
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    content: str = found
    return content


def led_here(program: str, served: Served) -> str:
    """A program, led to the server of these tests."""
    return program.replace("localhost:8470", f"{HOST}:{served.server.port}")


def methods(found: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, one in found["paths"].items() for method in one}


def test_document_is_openapi_3_1(served: Served) -> None:
    found = served.document
    assert found["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(found).validate()


def test_document_names_what_the_server_answers_and_nothing_else(served: Served) -> None:
    config = served.server.folder / "server.toml"
    answered = json.loads(run([sys.executable, "-c", ROUTES, str(config)], RUN_S))
    described = {(method, path) for method, path in answered if not is_of_the_page(path)}
    assert methods(served.empty) == described
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


def test_client_that_was_generated_asks_the_server(served: Served, plant: Path) -> None:
    found = json.loads(printed(CLIENT, served, plant))
    assert found == {
        "signals": "pressure, flow",
        "id": "seven",
        "value": [21.0, 3.0],
        "quality": ["GOOD", "UNCERTAIN"],
        "refused": [404, True],
    }


def test_program_of_the_guide_asks_by_the_names_of_signals(served: Served, plant: Path) -> None:
    value, quality = printed(block("python"), served, plant).split()
    assert float(value) == pytest.approx(4.2 + 315)
    assert quality == "GOOD"


def printed(program: str, served: Served, plant: Path) -> str:
    """What a program prints that uses the client; a warning of Python would end it."""
    path = plant / "program.py"
    path.write_text(led_here(program, served))
    return run([sys.executable, "-W", "error", str(path)], RUN_S)


def test_document_follows_a_new_version(served: Served) -> None:
    def said() -> str:
        paths = served.document["paths"]
        text: str = paths["/v2/models/pump-health/infer"]["post"]["description"]
        return text

    assert "version 1.0.1 (seq 1)" in said()
    served.published.publish(linear_bundle(STREAMS[0], 2, [1.0, 10.0], channels=CHANNELS))
    eventually(lambda: "version 1.0.2 (seq 2)" in said(), 20.0)
