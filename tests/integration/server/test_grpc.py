"""Triton's client for gRPC against the server: the six calls, refusals, access, and the stop."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, service_pb2
from tritonclient.http import InferenceServerClient as HttpClient
from tritonclient.http import InferInput as HttpInput

from models.bundle.explain import Explain
from server.__main__ import main
from server.access.tokens import made
from tests.kit.broker.brokers import HOST
from tests.kit.bundles.graphs import detector_bundle, linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.model_calls import client_of, port_of, refused, window
from tests.kit.model_server import LOOKS, ModelServer
from tests.kit.waiting import eventually

STREAMS: list[dict[str, object]] = [{"stream": "mass", "versions": 2}, {"stream": "wear"}]


EXPLAIN = Explain(when="alarm", method="occlusion", reference=0, output="score")


class Served(NamedTuple):
    server: ModelServer
    client: InferenceServerClient


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`mass` is c0 + 10 * c1, and 1000 more in version 2; `wear` is a detector."""
    folder = tmp_path_factory.mktemp("server")
    published = Published.create(folder)
    published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    published.publish(detector_bundle("wear", 1, [1.0, -1.0], explain=EXPLAIN))
    sections = {"grpc": {"port": 0, "max_message_bytes": 65_536}, "registry": LOOKS}
    with ModelServer(folder / "home", published, STREAMS, sections) as server:
        server.start_serving()
        published.publish(linear_bundle("mass", 2, [1.0, 10.0], bias=1000.0))
        with closing(client_of(server)) as client:
            eventually(lambda: client.get_model_metadata("mass").versions == ["2", "1"], 20.0)
            yield Served(server, client)


def typed(values: list[float], shape: list[int]) -> service_pb2.ModelInferRequest:
    request = service_pb2.ModelInferRequest(model_name="mass", id="a/7")
    tensor = request.inputs.add(name="window", datatype="FP32", shape=shape)
    tensor.contents.fp32_contents.extend(values)
    return request


def test_server_and_models_are_live_and_ready(served: Served) -> None:
    client = served.client
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mass")
    assert client.is_model_ready("mass", "1")


def test_metadata_name_the_tensors(served: Served) -> None:
    assert served.client.get_server_metadata().name == "millhand"
    found = served.client.get_model_metadata("mass", as_json=True)
    tensor = {"name": "window", "datatype": "FP32", "shape": ["-1", "1", "2"]}
    assert found["inputs"] == [tensor]
    assert [one["name"] for one in found["outputs"]] == ["value", "quality"]


def test_raw_windows_are_answered_raw(served: Served) -> None:
    found = served.client.infer("mass", [window([[1, 2], [3, 4]])], request_id="a/7")
    assert found.as_numpy("value").tolist() == [1021.0, 1043.0]
    assert found.as_numpy("quality").tolist() == [b"GOOD", b"GOOD"]
    answer = found.get_response()
    assert (answer.id, answer.model_version) == ("a/7", "2")
    assert len(answer.raw_output_contents) == 2


def test_typed_windows_are_answered_typed(served: Served) -> None:
    answer = served.client._client_stub.ModelInfer(typed([1, 2, 3, 4], [2, 1, 2]))  # noqa: SLF001  the client sends raw contents only
    value, quality = answer.outputs
    assert list(value.contents.fp32_contents) == [1021.0, 1043.0]
    assert list(quality.contents.bytes_contents) == [b"GOOD", b"GOOD"]
    assert not answer.raw_output_contents
    assert answer.id == "a/7"


def test_version_and_outputs_are_chosen(served: Served) -> None:
    found = served.client.infer("mass", [window([[1, 2]])], "1")
    assert found.as_numpy("value").tolist() == [21.0]
    only = served.client.infer("wear", [window([[1, 2]])], outputs=[InferRequestedOutput("score")])
    assert [one.name for one in only.get_response().outputs] == ["score"]


def test_reasons_are_an_output_where_they_are_asked_for(served: Served) -> None:
    wanted = [InferRequestedOutput("value"), InferRequestedOutput("why")]
    found = served.client.infer("wear", [window([[5, 1]])], outputs=wanted)
    (why,) = found.as_numpy("why")
    assert sorted(one["signal"] for one in json.loads(why)) == ["c0", "c1"]
    request = typed([1, 2], [1, 1, 2])
    request.outputs.add(name="why")
    with pytest.raises(grpc.RpcError, match="does not say how answers are explained") as caught:
        served.client._client_stub.ModelInfer(request)  # noqa: SLF001  as above
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_nan_is_a_missing_value(served: Served) -> None:
    found = served.client.infer("mass", [window([[1, np.nan]])])
    assert found.as_numpy("quality").tolist() == [b"UNCERTAIN"]
    answer = served.client._client_stub.ModelInfer(typed([1, np.nan], [1, 1, 2]))  # noqa: SLF001  as above
    assert list(answer.outputs[1].contents.bytes_contents) == [b"UNCERTAIN"]


def test_contents_of_another_type_are_refused_by_their_name(served: Served) -> None:
    request = typed([], [1, 1, 2])
    request.inputs[0].contents.fp64_contents.extend([1.0, 2.0])
    with pytest.raises(grpc.RpcError) as caught:
        served.client._client_stub.ModelInfer(request)  # noqa: SLF001  as above
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "has fp64_contents; allowed are fp32_contents" in caught.value.details()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compressed_message_is_refused_before_it_is_inflated(served: Served, coding: str) -> None:
    logged = served.server.log
    status, message = refused(
        served.client, window([[0, 0]] * 2_000_000), compression_algorithm=coding
    )
    assert status == "StatusCode.UNIMPLEMENTED"
    assert coding in message
    assert served.server.log == logged  # or any client could fill the log


def test_answer_equals_that_over_http_to_the_bit(served: Served) -> None:
    values = np.random.default_rng(7).normal(size=(64, 1, 2)).astype(np.float32)
    sent = HttpInput("window", list(values.shape), "FP32").set_data_from_numpy(values)
    with HttpClient(f"{HOST}:{served.server.port}") as http:
        over_http = http.infer("mass", [sent]).as_numpy("value")
    over_grpc = served.client.infer("mass", [window(values[:, 0].tolist())]).as_numpy("value")
    assert over_grpc.tobytes() == over_http.tobytes()


@pytest.mark.parametrize(
    ("asked", "tensor", "status", "sentence"),
    [
        (("none", ""), window([[1, 2]]), "NOT_FOUND", "there is no model 'none'"),
        (("mass", "7"), window([[1, 2]]), "NOT_FOUND", "'mass' has no version '7'"),
        (("mass", ""), window([[1, 2]], "x"), "INVALID_ARGUMENT", "the input is named 'x'"),
        (("mass", ""), window([[1, 2, 3]]), "INVALID_ARGUMENT", "allowed is [n, 1, 2]"),
        (("mass", ""), window([[1, 2]] * 9000), "RESOURCE_EXHAUSTED", "65536"),
    ],
    ids=["model", "version", "name", "shape", "length"],
)
def test_refusal_has_its_status_and_a_sentence(
    served: Served, asked: tuple[str, str], tensor: InferInput, status: str, sentence: str
) -> None:
    model, version = asked
    found = refused(served.client, tensor, model=model, model_version=version)
    assert found[0] == f"StatusCode.{status}"
    assert sentence in found[1]


def test_calls_are_counted_by_their_name(served: Served) -> None:
    served.client.infer("mass", [window([[1, 2]])])
    text = served.server.request("GET", "/metrics").body.decode()
    name = 'route="/inference.GRPCInferenceService/ModelInfer"'
    assert any(name in line and 'code="200"' in line for line in text.splitlines())


def test_token_decides(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    (infer, line), (read, other) = made("line", ["infer"]), made("board", ["read"])
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{line}\n{other}\n")
    tokens.chmod(0o600)
    sections: dict[str, dict[str, object]] = {
        "grpc": {"port": 0},
        "access": {"tokens_file": str(tokens)},
    }
    with ModelServer(tmp_path / "home", published, [{"stream": "mass"}], sections) as server:
        server.start_serving()
        with closing(client_of(server)) as client:
            bearer = {"authorization": f"Bearer {infer}"}
            assert client.infer("mass", [window([[1, 2]])], headers=bearer).as_numpy("value") == 21
            status, _ = refused(client, window([[1, 2]]))
            assert status == "StatusCode.UNAUTHENTICATED"
            wrong = {"authorization": "Bearer millhand_x"}
            status, message = refused(client, window([[1, 2]]), headers=wrong)
            assert (status, message) == (
                "StatusCode.UNAUTHENTICATED", "the token is not known, or not any more",
            )  # fmt: skip
            reading = {"authorization": f"Bearer {read}"}
            status, _ = refused(client, window([[1, 2]]), headers=reading)
            assert status == "StatusCode.PERMISSION_DENIED"


def test_connection_beyond_the_limit_is_closed(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    sections = {"grpc": {"port": 0, "max_connections": 2}}
    server = ModelServer(tmp_path / "home", published, [{"stream": "mass"}], sections)
    with server, ExitStack() as opened:
        server.start()
        port = port_of(server)
        greeted = []
        for _ in range(3):
            client = opened.enter_context(socket.create_connection((HOST, port), timeout=20))
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
            greeted.append(client.recv(9) != b"")
        assert greeted == [True, True, False]


def test_check_names_the_port_and_refuses_that_of_http(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections: dict[str, dict[str, object]] = {"server": {"port": 8470}, "grpc": {}}
    server = ModelServer(tmp_path, Published.create(tmp_path), STREAMS, sections)
    command = ["check", "--config", str(server.write_config())]
    assert main(command) == 0
    assert "gRPC      at 127.0.0.1, port 8471" in capsys.readouterr().out
    sections["grpc"]["port"] = 8470
    server.write_config()
    assert main(command) == 78
    assert "server.port and grpc.port are both 8470" in capsys.readouterr().err
