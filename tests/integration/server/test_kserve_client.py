"""What KServe's client sends, recorded on the wire, and answered by the server.

The client is kserve 0.21 with httpx 0.28. It is not installed for the tests, because it wants
pandas below 3 and psutil below 6.
"""

import gzip
import json
import struct
from collections.abc import Iterator

import grpc
import pytest
from tritonclient.grpc import service_pb2

from tests.kit.broker.brokers import HOST
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.http.raw_client import RawClient
from tests.kit.model_calls import port_of
from tests.kit.model_server import LOOKS, ModelServer, Reply
from tests.kit.waiting import eventually

HEAD = (
    b"Host: 127.0.0.1:36459\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
    b"Connection: keep-alive\r\nUser-Agent: python-httpx/0.28.1\r\n"
)
LIVE = b"GET /v2/health/live HTTP/1.1\r\n" + HEAD + b"\r\n"
READY = b"GET /v2/models/mass/ready HTTP/1.1\r\n" + HEAD + b"\r\n"
JSON = (
    b"POST /v2/models/mass/infer HTTP/1.1\r\n" + HEAD + b"content-type: application/json\r\n"
    b'Content-Length: 121\r\n\r\n{"id":"a/7","model_name":"mass","inputs":[{"name":"window",'
    b'"shape":[2,1,2],"datatype":"FP32","data":[1.0,2.0,null,4.0]}]}'
)
BINARY = (
    b"POST /v2/models/mass/infer HTTP/1.1\r\n" + HEAD + b"inference-header-content-length: 173\r\n"
    b"content-type: application/octet-stream\r\nContent-Length: 189\r\n\r\n"
    b'{"id":"a/7","model_name":"mass","inputs":[{"name":"window","shape":[2,1,2],'
    b'"datatype":"FP32","parameters":{"binary_data_size":16}}],'
    b'"parameters":{"binary_data_output":true}}'
    b"\x00\x00\x80?\x00\x00\x00@\x00\x00\xc0\x7f\x00\x00\x80@"
)
OF_ONE_OUTPUT = (
    b"POST /v2/models/mass/infer HTTP/1.1\r\n" + HEAD + b"inference-header-content-length: 194\r\n"
    b"content-type: application/octet-stream\r\nContent-Length: 202\r\n\r\n"
    b'{"id":"a/7","model_name":"mass","inputs":[{"name":"window","shape":[1,1,2],'
    b'"datatype":"FP32","parameters":{"binary_data_size":8}}],'
    b'"outputs":[{"name":"value","parameters":{"binary_data":true}}]}'
    b"\x00\x00\x80?\x00\x00\x00@"
)
OF_VERSION_1 = (
    b"POST /v2/models/mass/versions/1/infer HTTP/1.1\r\n" + HEAD + b"inference-header-"
    b"content-length: 131\r\ncontent-type: application/octet-stream\r\nContent-Length: 139\r\n\r\n"
    b'{"id":"a/7","model_name":"mass","inputs":[{"name":"window","shape":[1,1,2],'
    b'"datatype":"FP32","parameters":{"binary_data_size":8}}]}'
    b"\x00\x00\x80?\x00\x00\x00@"
)
TYPED_CALL = (
    b"\n\x04mass\x1a\x03a/7*'\n\x06window\x12\x04FP32\x1a\x03\x02\x01\x02*\x12"
    b"2\x10\x00\x00\x80?\x00\x00\x00@\x00\x00\xc0\x7f\x00\x00\x80@2\x07\n\x05value"
)
RAW_CALL = (
    b'\n\x04mass\x1a\x03a/7*+\n\x06window\x12\x04FP32\x1a\x03\x02\x01\x02"\x16\n\x10'
    b"binary_data_size\x12\x02\x10\x102\x07\n\x05value"
    b":\x10\x00\x00\x80?\x00\x00\x00@\x00\x00\xc0\x7f\x00\x00\x80@"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server of `mass`: c0 + 10 * c1, and 1000 more in version 2; a missing value counts 0."""
    folder = tmp_path_factory.mktemp("server")
    published = Published.create(folder)
    published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    sections = {"grpc": {"port": 0}, "registry": LOOKS}
    streams = [{"stream": "mass", "versions": 2}]
    with ModelServer(folder / "home", published, streams, sections) as made:
        made.start_serving()
        published.publish(linear_bundle("mass", 2, [1.0, 10.0], bias=1000.0))
        path = "/v2/models/mass"
        eventually(lambda: made.request("GET", path).document["versions"] == ["2", "1"], 20.0)
        yield made


def answer(server: ModelServer, request: bytes) -> Reply:
    with RawClient(server.port) as client:
        (reply,) = client.send(request).answers(1).replies
    assert reply.status == 200, reply
    if reply.headers.get("content-encoding") == "gzip":
        return reply._replace(body=gzip.decompress(reply.body))
    return reply


def test_client_finds_the_server_live_and_the_model_ready(server: ModelServer) -> None:
    assert answer(server, LIVE).document == {"live": True}
    assert answer(server, READY).document["ready"] is True


def test_windows_in_json_are_answered_in_json(server: ModelServer) -> None:
    found = answer(server, JSON).document
    value, quality = found["outputs"]
    assert (found["id"], found["model_name"]) == ("a/7", "mass")
    assert (value["datatype"], value["data"]) == ("FP32", [1021.0, 1040.0])
    assert quality["data"] == ["GOOD", "UNCERTAIN"]


def test_binary_windows_are_answered_binary(server: ModelServer) -> None:
    reply = answer(server, BINARY)
    length = int(reply.headers["inference-header-content-length"])
    value, quality = json.loads(reply.body[:length])["outputs"]
    assert value["parameters"]["binary_data_size"] == 8
    assert struct.unpack("<2f", reply.body[length : length + 8]) == (1021.0, 1040.0)
    texts = reply.body[length + 8 :]
    assert texts == b"\x04\0\0\0GOOD\x09\0\0\0UNCERTAIN"
    assert quality["parameters"]["binary_data_size"] == len(texts)


def test_output_that_is_named_comes_alone(server: ModelServer) -> None:
    reply = answer(server, OF_ONE_OUTPUT)
    length = int(reply.headers["inference-header-content-length"])
    assert [one["name"] for one in json.loads(reply.body[:length])["outputs"]] == ["value"]
    assert struct.unpack("<f", reply.body[length:]) == (1021.0,)


def test_version_is_part_of_the_name_that_the_client_is_given(server: ModelServer) -> None:
    found = answer(server, OF_VERSION_1).document
    assert found["model_version"] == "1"
    assert found["outputs"][0]["data"] == [21.0]


@pytest.mark.parametrize("call", [TYPED_CALL, RAW_CALL], ids=["typed", "raw"])
def test_call_over_grpc_is_answered(server: ModelServer, call: bytes) -> None:
    with grpc.insecure_channel(f"{HOST}:{port_of(server)}") as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        found = service_pb2.ModelInferResponse.FromString(infer(call, timeout=20.0))
    (output,) = found.outputs
    sent = found.raw_output_contents[0] if call is RAW_CALL else None
    values = struct.unpack("<2f", sent) if sent else tuple(output.contents.fp32_contents)
    assert values == (1021.0, 1040.0)
    assert (found.id, found.model_version, output.name) == ("a/7", "2", "value")
