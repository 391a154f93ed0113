"""The Open Inference Protocol as clients use it, and what malformed requests get."""

import gzip
import json
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kit.broker.brokers import HOST
from tests.kit.bundles.factories import make_channels
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.model_server import ModelServer, Reply

INFER = "/v2/models/mass/infer"
LIMITS = {"max_body_bytes": 4096, "max_header_bytes": 2048, "client_s": 1.0}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server of one stream, whose model adds c0 and ten times c1; a missing value counts 0."""
    folder: Path = tmp_path_factory.mktemp("server")
    published = Published.create(folder)
    published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    streams = [{"stream": "mass"}]
    with ModelServer(folder / "home", published, streams, {"limits": LIMITS}) as made:
        yield made.start_serving()


def tensor(rows: list[Any], **more: object) -> dict[str, Any]:
    shape = [len(rows), 1, 2]
    one = {"name": "window", "datatype": "FP32", "shape": shape, "data": rows}
    return {"inputs": [one | more]}


def values(reply: Reply) -> list[Any]:
    (found,) = [one["data"] for one in reply.document["outputs"] if one["name"] == "value"]
    data: list[Any] = found
    return data


def quality(reply: Reply) -> list[str]:
    (found,) = [one["data"] for one in reply.document["outputs"] if one["name"] == "quality"]
    data: list[str] = found
    return data


def test_metadata_names_tensors_versions_and_the_bundle(server: ModelServer) -> None:
    found = server.request("GET", "/v2/models/mass").document
    assert found["versions"] == ["1"]
    assert found["inputs"] == [{"name": "window", "datatype": "FP32", "shape": [-1, 1, 2]}]
    assert [one["name"] for one in found["outputs"]] == ["value", "quality"]
    assert found["parameters"]["signals"] == "c0, c1"
    assert server.request("GET", "/v2/").document["name"] == "millhand"


@pytest.mark.parametrize("version", ["", "/versions/1", "/versions/1.0.1"])
def test_version_is_named_by_its_number_or_its_semantic_version(
    server: ModelServer, version: str
) -> None:
    reply = server.request("POST", f"/v2/models/mass{version}/infer", tensor([[[1, 2]]]))
    assert values(reply) == [21.0]
    assert reply.document["model_version"] == "1"


@pytest.mark.parametrize("rows", [[[[1, 2]], [[3, 4]]], [1, 2, 3, 4]], ids=["nested", "flat"])
def test_data_is_nested_or_flat(server: ModelServer, rows: list[Any]) -> None:
    reply = server.request("POST", INFER, tensor(rows, shape=[2, 1, 2]))
    assert values(reply) == [21.0, 43.0]
    assert quality(reply) == ["GOOD", "GOOD"]


@pytest.mark.parametrize("value", ["null", "NaN", "Infinity", "1e30", "100.5"])
def test_missing_value_is_imputed_and_the_answer_uncertain(server: ModelServer, value: str) -> None:
    body = json.dumps(tensor([["@", 2]], shape=[1, 1, 2])).replace('"@"', value).encode()
    body = body.replace(b"[[", b"[").replace(b"]]", b"]")
    reply = server.request("POST", INFER, body)
    assert values(reply) == [20.0]
    assert quality(reply) == ["UNCERTAIN"]


def test_raw_bytes_go_in_and_come_out(server: ModelServer) -> None:
    raw = np.array([[[1, 2]]], "<f4").tobytes()
    document = tensor([[[1, 2]]])
    (one,) = document["inputs"]
    del one["data"]
    one["parameters"] = {"binary_data_size": len(raw)}
    document |= {"parameters": {"binary_data_output": True}, "id": "request 7"}
    header = json.dumps(document).encode()
    length = {"Inference_Header_Content_Length": str(len(header))}
    reply = server.request("POST", INFER, header + raw, **length)
    end = int(reply.headers["inference-header-content-length"])
    assert json.loads(reply.body[:end])["id"] == "request 7"
    assert struct.unpack("<f", reply.body[end : end + 4]) == (21.0,)
    assert reply.body[end + 4 :] == b"\x04\0\0\0GOOD"


def test_body_may_be_nothing_but_raw_data(server: ModelServer) -> None:
    raw = np.array([[1, 2], [3, 4]], "<f4").tobytes()
    reply = server.request("POST", INFER, raw, Inference_Header_Content_Length="0")
    end = int(reply.headers["inference-header-content-length"])
    assert struct.unpack("<2f", reply.body[end : end + 8]) == (21.0, 43.0)


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_body_is_inflated(
    server: ModelServer, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    body = pack(json.dumps(tensor([[[1, 2]]])).encode())
    assert values(server.request("POST", INFER, body, Content_Encoding=coding)) == [21.0]


def test_only_the_outputs_that_are_asked_for_come_back(server: ModelServer) -> None:
    body = tensor([[[1, 2]]]) | {"outputs": [{"name": "quality"}]}
    found = server.request("POST", INFER, body).document["outputs"]
    assert [one["name"] for one in found] == ["quality"]


BAD_BODIES: dict[str, tuple[Any, str]] = {
    "not json": (b"{", "not JSON"),
    "list": (b"[]", "no JSON object"),
    "no inputs": ({}, "no list of inputs"),
    "two inputs": ({"inputs": [{}, {}]}, "2 inputs"),
    "name": (tensor([[[1, 2]]], name="x"), "named 'x'; the model's is 'window'"),
    "half a character": (
        b'{"inputs": [{"name": "\\ud800", "data": NaN}]}',
        "surrogates not allowed",
    ),
    "datatype": (tensor([[[1, 2]]], datatype="FP64"), "allowed is FP32"),
    "shape": (tensor([[[1, 2]]], shape=[1, 2]), "allowed is [n, 1, 2]"),
    "shape of text": (tensor([[[1, 2]]], shape="1,1,2"), "allowed is [n, 1, 2]"),
    "no windows": (tensor([]), "at least one"),
    "too few values": (tensor([1], shape=[1, 1, 2]), "1 values"),
    "ragged": (tensor([[[1]], [[2, 3, 4]]]), "other lengths"),
    "text": (tensor([[["1", 2]]]), "text; allowed are numbers and null"),
    "boolean": (tensor([[[True, 2]]]), "true or false; allowed are numbers and null"),
    "no data": (
        {"inputs": [{"name": "window", "datatype": "FP32", "shape": [1, 1, 2]}]},
        "no data",
    ),
    "data of text": (
        {"inputs": [{"name": "window", "datatype": "FP32", "shape": [1, 1, 2], "data": "1,2"}]},
        "no list",
    ),
    "input in shared memory": (
        tensor([], shape=[1, 1, 2], parameters={"shared_memory_region": "r"}),
        "'window' is to be in shared memory, which is not supported",
    ),
    "output in shared memory": (
        tensor([[[1, 2]]])
        | {"outputs": [{"name": "value", "parameters": {"shared_memory_region": "r"}}]},
        "'value' is to be in shared memory",
    ),
    "output": (tensor([[[1, 2]]]) | {"outputs": [{"name": "y"}]}, "no output 'y'"),
    "id": (tensor([[[1, 2]]]) | {"id": 7}, "id"),
    "timeout": (tensor([[[1, 2]]]) | {"parameters": {"timeout": -1}}, "microseconds"),
    "number of 400 digits": (b'{"parameters": {"timeout": 1%s}}' % (b"0" * 399), "not JSON"),
    "half a surrogate pair": (rb'{"id": "\ud800"}', "not JSON"),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_malformed_body_is_refused_in_a_sentence(server: ModelServer, case: str) -> None:
    body, said = BAD_BODIES[case]
    reply = server.request("POST", INFER, body)
    assert reply.status == 400
    assert said in reply.error


BAD_REQUESTS: dict[str, tuple[tuple[Any, ...], dict[str, str], int, str]] = {
    "path": (("GET", "/v3"), {}, 404, "nothing at '/v3'"),
    "model": (("GET", "/v2/models/weight"), {}, 404, "there are mass"),
    "version": (("GET", "/v2/models/mass/versions/9"), {}, 404, "there are 1 (1.0."),
    "method": (("PUT", INFER, b""), {}, 405, "allowed is POST"),
    "coding": (("POST", INFER, b"{}"), {"Content_Encoding": "br"}, 415, "gzip and deflate"),
    "length": (("POST", INFER, b"x" * 5000), {}, 413, "allowed are 4096"),
    "cut off": (
        ("POST", INFER, gzip.compress(b"{}")[:-3]),
        {"Content_Encoding": "gzip"},
        400,
        "cut off",
    ),
    "bomb": (
        ("POST", INFER, gzip.compress(b" " * 1_000_000)),
        {"Content_Encoding": "gzip"},
        413,
        "4096",
    ),
    "header length": (
        ("POST", INFER, b"{}"),
        {"Inference_Header_Content_Length": "77"},
        400,
        "the body has 2 bytes",
    ),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_request_is_refused_with_the_right_status(server: ModelServer, case: str) -> None:
    (method, path, *body), headers, status, said = BAD_REQUESTS[case]
    reply = server.request(method, path, body[0] if body else None, **headers)
    assert (reply.status, said in reply.error) == (status, True), reply


RAW: dict[str, tuple[bytes, bytes]] = {
    "no http": (b"\x16\x03\x01 hello\r\n\r\n", b" 400 "),
    "two lengths": (
        b"POST /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b" 400 ",
    ),
    "long headers": (b"GET /v2 HTTP/1.1\r\nX: " + b"x" * 4000, b" 431 "),
    "whole headers that are long": (
        b"GET /v2 HTTP/1.1\r\nX: " + b"x" * 4000 + b"\r\n\r\n",
        b" 431 ",
    ),
    "nothing": (b"", b" 408 "),
    "slow headers": (b"GET /v2 HTTP/1.1\r\nHost:", b" 408 "),
    "slow body": (
        b"POST " + INFER.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
        b" 408 ",
    ),
}


@pytest.mark.parametrize("case", RAW)
def test_connection_of_a_bad_client_is_answered_and_closed(server: ModelServer, case: str) -> None:
    sent, status = RAW[case]
    with socket.create_connection((HOST, server.port), timeout=10) as client:
        client.sendall(sent)
        found = b""
        while part := client.recv(4096):
            found += part
    head, _, body = found.partition(b"\r\n\r\n")
    assert status in head.splitlines()[0]
    assert "error" in json.loads(body)


def test_required_signal_that_is_missing_is_named(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    channels = make_channels(2, missing="require")
    published.publish(linear_bundle("mass", 1, [1.0, 10.0], channels=channels))
    with ModelServer(tmp_path / "home", published, [{"stream": "mass"}]) as server:
        server.start_serving()
        reply = server.request("POST", INFER, tensor([[[1, 2]], [[1, None]]]))
    assert reply.status == 400
    assert "window 1 lacks a usable value of 'c1'" in reply.error
