"""Triton's own client, with its defaults and its options, against the server."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from tests.kit.broker.brokers import HOST
from tests.kit.bundles.graphs import detector_bundle, linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.model_server import LOOKS, ModelServer
from tests.kit.waiting import eventually

ROWS = [[1, 2], [3, 4]]
BINARY = pytest.mark.parametrize("is_binary", [True, False], ids=["binary", "json"])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceServerClient]:
    """A client of a server of `mass` (c0 + 10 * c1, and 1000 more in version 2) and `wear`."""
    folder = tmp_path_factory.mktemp("server")
    published = Published.create(folder)
    published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    published.publish(detector_bundle("wear", 1, [1.0, -1.0]))
    streams: list[dict[str, object]] = [{"stream": "mass", "versions": 2}, {"stream": "wear"}]
    with ModelServer(folder / "home", published, streams, {"registry": LOOKS}) as server:
        server.start_serving()
        published.publish(linear_bundle("mass", 2, [1.0, 10.0], bias=1000.0))
        with InferenceServerClient(f"{HOST}:{server.port}") as made:
            eventually(lambda: made.get_model_metadata("mass")["versions"] == ["2", "1"], 20.0)
            yield made


def window(rows: list[Any], *, is_binary: bool = True, name: str = "window") -> InferInput:
    """One sample a window."""
    values = np.array(rows, np.float32)[:, np.newaxis]
    made = InferInput(name, list(values.shape), "FP32")
    return made.set_data_from_numpy(values, binary_data=is_binary)


def values(found: Any, name: str = "value") -> list[Any]:  # noqa: ANN401  the client has no types
    listed: list[Any] = found.as_numpy(name).tolist()
    return listed


def test_server_and_models_are_live_and_ready(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mass")
    assert client.is_model_ready("mass", "1")
    assert not client.is_model_ready("mass", "7")


def test_metadata_and_configuration_fit_the_request(client: InferenceServerClient) -> None:
    (tensor,) = client.get_model_metadata("mass")["inputs"]
    assert tensor == {"name": "window", "datatype": "FP32", "shape": [-1, 1, 2]}
    configuration = client.get_model_config("mass")
    assert configuration["input"] == [{"name": "window", "data_type": "TYPE_FP32", "dims": [1, 2]}]
    assert client.get_server_metadata()["name"] == "millhand"


@BINARY
def test_windows_are_answered(client: InferenceServerClient, *, is_binary: bool) -> None:
    found = client.infer("mass", [window(ROWS, is_binary=is_binary)], request_id="a/7")
    assert values(found) == [1021.0, 1043.0]
    assert values(found, "quality") == [b"GOOD", b"GOOD"]
    assert found.get_response()["id"] == "a/7"
    assert found.get_response()["model_version"] == "2"


@BINARY
def test_requested_outputs_come_alone(client: InferenceServerClient, *, is_binary: bool) -> None:
    wanted = [InferRequestedOutput("score", binary_data=is_binary)]
    found = client.infer("wear", [window(ROWS)], outputs=wanted)
    assert values(found, "score") == [-1.0, -1.0]
    assert found.as_numpy("value") is None


@BINARY
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_both_ways_may_be_compressed(
    client: InferenceServerClient, coding: str, *, is_binary: bool
) -> None:
    rows = ROWS * 100
    found = client.infer(
        "mass",
        [window(rows, is_binary=is_binary)],
        outputs=[InferRequestedOutput("value", binary_data=is_binary)],
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    assert values(found) == [1021.0, 1043.0] * 100


@BINARY
def test_nan_is_a_missing_value(client: InferenceServerClient, *, is_binary: bool) -> None:
    found = client.infer("mass", [window([[math.nan, 2], [3, 4]], is_binary=is_binary)])
    assert values(found) == [1020.0, 1043.0]
    assert values(found, "quality") == [b"UNCERTAIN", b"GOOD"]


@pytest.mark.parametrize(
    ("version", "value"), [("1", 21.0), ("1.0.1", 21.0), ("2", 1021.0), ("1.0.2", 1021.0)]
)
def test_version_is_its_seq_or_its_semantic_version(
    client: InferenceServerClient, version: str, value: float
) -> None:
    found = client.infer("mass", [window([[1, 2]])], model_version=version)
    assert values(found) == [value]


def test_index_lists_the_versions_that_answer(client: InferenceServerClient) -> None:
    found = [(one["name"], one["version"], one["state"]) for one in index(client)]
    assert found == [("mass", "2", "READY"), ("mass", "1", "READY"), ("wear", "1", "READY")]


def index(client: InferenceServerClient) -> list[dict[str, str]]:
    found: list[dict[str, str]] = client.get_model_repository_index()
    return found


def test_statistics_count_windows_and_requests(client: InferenceServerClient) -> None:
    def counted() -> tuple[int, int]:
        (one,) = client.get_inference_statistics("mass", "1")["model_stats"]
        return one["inference_count"], one["inference_stats"]["success"]["count"]

    windows, requests = counted()
    client.infer("mass", [window(ROWS)], model_version="1")
    assert counted() == (windows + 2, requests + 1)
    models = [one["name"] for one in client.get_inference_statistics()["model_stats"]]
    assert models == ["mass", "mass", "wear"]


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "name": ({"inputs": [window(ROWS, name="windo")]}, "400", "the model's is 'window'"),
    "model": ({"model_name": "mas"}, "404", "there are mass, wear"),
    "version": ({"model_version": "7"}, "404", "there are 2 (1.0.2), 1 (1.0.1)"),
    "shape": ({"inputs": [window([[1, 2, 3]])]}, "400", "allowed is [n, 1, 2]"),
    "output": ({"outputs": [InferRequestedOutput("y")]}, "400", "there are value, quality"),
    "classification": (
        {"outputs": [InferRequestedOutput("value", class_count=2)]},
        "400",
        "ask for 'probabilities'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_mistake_is_told_by_the_client_in_the_sentence_of_the_server(
    client: InferenceServerClient, case: str
) -> None:
    wrong, status, said = REFUSED[case]
    with pytest.raises(InferenceServerException) as caught:
        client.infer(**{"model_name": "mass", "inputs": [window(ROWS)], **wrong})
    assert caught.value.status() == status
    assert said in caught.value.message()
