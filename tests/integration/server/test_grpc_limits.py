"""gRPC at its limits: deadlines, calls and bytes under way, slow clients, and the stop."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput, service_pb2

from tests.kit.broker.brokers import HOST
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.model_calls import client_of, port_of, refused
from tests.kit.model_server import ModelServer
from tests.kit.waiting import eventually

LENGTH = 200
MANY = 400
"""Windows that the model needs seconds for: 2 GFLOP each, 640 KB together."""
LIMITS: dict[str, object] = {"request_s": 300.0, "client_s": 1.0}
GRPC: dict[str, object] = {"port": 0, "max_calls": 2, "max_messages_bytes": 1_000_000}
INFER = "/inference.GRPCInferenceService/ModelInfer"


class Slow(NamedTuple):
    server: ModelServer
    client: InferenceServerClient


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """`mass` is c0 + 10 * c1 of the last sample, and slow."""
    made = Published.create(tmp_path_factory.mktemp("registry"))
    made.publish(linear_bundle("mass", 1, [1.0, 10.0], length=LENGTH, layers=2000))
    return made


@pytest.fixture(scope="module")
def slow(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slow]:
    folder = tmp_path_factory.mktemp("server")
    sections = {"limits": LIMITS, "grpc": GRPC}
    with ModelServer(folder, published, [{"stream": "mass"}], sections) as server:
        server.start_serving()
        with closing(client_of(server)) as client:
            yield Slow(server, client)


def windows(count: int) -> InferInput:
    values = np.ones((count, LENGTH, 2), np.float32)
    return InferInput("window", list(values.shape), "FP32").set_data_from_numpy(values)


def counted(server: ModelServer, line: str) -> float:
    """A number of `/metrics`; 0 where there is no such line."""
    text = server.request("GET", "/metrics").body.decode()
    return next((float(one.split()[-1]) for one in text.splitlines() if one.startswith(line)), 0.0)


def calls_under_way(server: ModelServer) -> float:
    """Calls that wait; `/metrics` counts itself as well."""
    return counted(server, "millhand_requests_under_way") - 1


def refusals(server: ModelServer, reason: str) -> float:
    return counted(server, f'millhand_requests_refused_total{{reason="{reason}"}}')


@contextmanager
def held(slow: Slow, count: int) -> Iterator[list[Any]]:
    """Calls that wait for the model, and are cancelled at the end."""
    values = np.ones((MANY, LENGTH, 2), np.float32)
    request = service_pb2.ModelInferRequest(model_name="mass")
    request.inputs.add(name="window", datatype="FP32", shape=values.shape)
    request.raw_input_contents.append(values.tobytes())
    stub = slow.client._client_stub  # noqa: SLF001  the client cannot cancel a call
    before = calls_under_way(slow.server)
    calls = []
    for number in range(count):
        if number:
            request.raw_input_contents[0] = values[:10].tobytes()
            request.inputs[0].shape[0] = 10
        calls.append(stub.ModelInfer.future(request))
    try:
        eventually(lambda: calls_under_way(slow.server) == before + count, 20.0)
        yield calls
    finally:
        for call in calls:
            call.cancel()
        eventually(lambda: calls_under_way(slow.server) == before, 20.0)


def test_deadline_ends_a_call_that_waits_for_the_model(slow: Slow) -> None:
    code = f'{{code="504",model="mass",route="{INFER}",version="1"}}'
    code = f"millhand_requests_total{code}"
    late, ended = refusals(slow.server, "late"), counted(slow.server, code)
    status, _ = refused(slow.client, windows(MANY), client_timeout=0.5)
    assert status == "StatusCode.DEADLINE_EXCEEDED"
    eventually(lambda: refusals(slow.server, "late") == late + 1, 20.0)
    assert counted(slow.server, code) == ended + 1


def test_time_of_the_parameter_ends_a_call(slow: Slow) -> None:
    late = refusals(slow.server, "late")
    status, message = refused(slow.client, windows(MANY), timeout=1)
    assert status == "StatusCode.DEADLINE_EXCEEDED"
    assert "did not get to the request within its time" in message
    assert refusals(slow.server, "late") == late + 1


def test_call_that_its_client_cancels_is_counted_as_such(slow: Slow) -> None:
    gone = refusals(slow.server, "client_gone")
    with held(slow, 1):
        pass
    assert refusals(slow.server, "client_gone") == gone + 1


def test_calls_beyond_the_limit_are_refused_and_the_server_says_that_it_lives(slow: Slow) -> None:
    overload = refusals(slow.server, "overload")
    with held(slow, 2):
        status, message = refused(slow.client, windows(1))
        assert status == "StatusCode.RESOURCE_EXHAUSTED"
        assert "2 calls are under way, as many as are allowed (grpc.max_calls)" in message
        assert slow.client.is_server_live()
        assert slow.client.is_server_ready()
    assert refusals(slow.server, "overload") == overload + 1


def test_bytes_of_all_messages_have_a_limit(slow: Slow) -> None:
    bodies = refusals(slow.server, "bodies")
    with held(slow, 1):
        status, message = refused(slow.client, windows(MANY))
        assert status == "StatusCode.UNAVAILABLE"
        assert "allowed are 1000000 (grpc.max_messages_bytes)" in message
    assert refusals(slow.server, "bodies") == bodies + 1
    with held(slow, 1):  # what was refused holds nothing
        pass


def test_message_beyond_the_limit_is_refused_and_counted(slow: Slow) -> None:
    large = refusals(slow.server, "too_large")
    status, message = refused(slow.client, windows(3000))
    assert status == "StatusCode.RESOURCE_EXHAUSTED"
    assert "4194304" in message
    eventually(lambda: refusals(slow.server, "too_large") == large + 1, 20.0)


def test_client_that_sends_no_message_is_given_up(slow: Slow) -> None:
    """As many as there may be calls; they keep nobody from an answer."""
    late = refusals(slow.server, "late")
    ended = threading.Event()

    def nothing() -> Iterator[bytes]:
        ended.wait()
        yield from ()

    with grpc.insecure_channel(f"{HOST}:{port_of(slow.server)}") as channel:
        ask = channel.stream_unary(INFER)
        hung = [ask.future(nothing()) for _ in range(2)]
        found = [one.exception(timeout=20) for one in hung]
        ended.set()
    assert {one.code() for one in found} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert {one.details() for one in found} == {"no message came within 1 s (limits.client_s)"}
    assert refusals(slow.server, "late") == late + 2
    assert slow.client.get_model_metadata("mass").name == "mass"


def test_calls_without_a_message_keep_nobody_from_an_answer(
    published: Published, tmp_path: Path
) -> None:
    """More than may wait; each is given up for a further one, and none for `client_s`."""
    limits = {**LIMITS, "client_s": 300.0}
    sections: dict[str, dict[str, object]] = {"limits": limits, "grpc": GRPC}
    left = threading.Event()

    def nothing() -> Iterator[bytes]:
        left.wait()
        yield from ()

    with ModelServer(tmp_path, published, [{"stream": "mass"}], sections) as server:
        server.start_serving()
        with (
            grpc.insecure_channel(f"{HOST}:{port_of(server)}") as channel,
            closing(client_of(server)) as client,
        ):
            ask = channel.stream_unary(INFER)
            hung = [ask.future(nothing()) for _ in range(5)]
            eventually(lambda: sum(one.done() for one in hung) == 3, 20.0)
            answers = [client.infer("mass", [windows(1)]).as_numpy("value") for _ in range(10)]
            eventually(lambda: sum(one.done() for one in hung) == 4, 20.0)
            ends = {(one.code(), one.details()) for one in hung if one.done()}
            left.set()
    assert [one.tolist() for one in answers] == [[11.0]] * 10
    sentence = (
        "no message came before another call needed the place; 2 calls may wait for their messages "
        "(grpc.max_calls)"
    )
    assert ends == {(grpc.StatusCode.RESOURCE_EXHAUSTED, sentence)}


@pytest.mark.parametrize(
    ("sent", "status", "sentence"),
    [
        ([], grpc.StatusCode.RESOURCE_EXHAUSTED, "the call has no message, or one of more than"),
        ([b"\xff"], grpc.StatusCode.INVALID_ARGUMENT, "the message is no ModelInferRequest"),
    ],
    ids=["none", "noise"],
)
def test_what_is_no_message_is_refused(
    slow: Slow, sent: list[bytes], status: grpc.StatusCode, sentence: str
) -> None:
    answered = counted(slow.server, "millhand_requests_answered_total")
    with grpc.insecure_channel(f"{HOST}:{port_of(slow.server)}") as channel:
        failed = channel.stream_unary(INFER).future(iter(sent)).exception(timeout=20)
    assert failed.code() == status
    assert sentence in failed.details()
    # The question before is the only one that was answered.
    assert counted(slow.server, "millhand_requests_answered_total") == answered + 1


def test_stop_answers_calls_under_way(published: Published, tmp_path: Path) -> None:
    limits = {**LIMITS, "stop_s": 60.0}  # however busy the machine is
    sections: dict[str, dict[str, object]] = {"limits": limits, "grpc": {"port": 0}}
    with (
        ModelServer(tmp_path, published, [{"stream": "mass"}], sections) as server,
        ThreadPoolExecutor(4) as clients,
    ):
        server.start_serving()
        with closing(client_of(server)) as client:
            asked = [clients.submit(client.infer, "mass", [windows(10)]) for _ in range(4)]
            eventually(lambda: calls_under_way(server) == len(asked), 20.0)
            assert server.stop() == 0
            answers = [one.result().as_numpy("value").tolist() for one in asked]
    assert answers == [[11.0] * 10] * len(asked)


def test_stop_refuses_what_it_cannot_wait_for(published: Published, tmp_path: Path) -> None:
    limits = {**LIMITS, "stop_s": 0.1}
    sections: dict[str, dict[str, object]] = {"limits": limits, "grpc": {"port": 0}}
    with (
        ModelServer(tmp_path, published, [{"stream": "mass"}], sections) as server,
        ThreadPoolExecutor(1) as clients,
    ):
        server.start_serving()
        with closing(client_of(server)) as client:
            asked = clients.submit(refused, client, windows(MANY))
            eventually(lambda: calls_under_way(server) == 1, 20.0)
            assert server.stop() == 0
            assert asked.result() == (
                "StatusCode.UNAVAILABLE",
                "the server stops, and did not get to the call in time",
            )
