"""Many clients, new versions, overload and stops: every request is answered, and rightly."""

import re
import socket
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kit.broker.brokers import HOST
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.model_server import LOOKS, ModelServer, Reply
from tests.kit.waiting import eventually

INFER = "/v2/models/mass/infer"
CLIENTS = 8
SWAPS = 5
SLOW_LAYERS = 2000
DEADLY = 1_000_000
LOOKING = {"registry": LOOKS}


def asked(server: ModelServer, number: int, rows: int = 1, timeout_us: int = 0) -> Reply:
    """Ask for the answer to c0 = number % 50 and c1 = -1: c0 + 10, and the version's bias.

    The number `DEADLY` asks for what is above the golden windows.
    """
    shape = [rows, 1, 2]
    data = [[[100, -100] if number == DEADLY else [number % 50, -1]]] * rows
    body = {
        "id": str(number),
        "parameters": {"timeout": timeout_us},
        "inputs": [{"name": "window", "datatype": "FP32", "shape": shape, "data": data}],
    }
    return server.request("POST", INFER, body)


def is_right(reply: Reply, number: int) -> bool:
    """Whether a reply is to this request, and by one version alone."""
    document = reply.document
    (value,) = next(one["data"] for one in document["outputs"] if one["name"] == "value")
    bias = 1000 * (int(document["model_version"]) - 1)
    return bool(document["id"] == str(number) and value == number % 50 + 10 + bias)


def test_swaps_under_load_lose_and_mix_up_nothing(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, -10.0]))
    with ModelServer(tmp_path / "home", published, [{"stream": "mass"}], LOOKING) as server:
        server.start_serving()
        enough = threading.Event()
        replies: list[tuple[int, Reply]] = []

        def client(first: int) -> None:
            number = first
            while not enough.is_set():
                replies.append((number, asked(server, number)))
                number += CLIENTS

        with ThreadPoolExecutor(CLIENTS) as clients:
            running = [clients.submit(client, first) for first in range(CLIENTS)]
            for seq in range(2, 2 + SWAPS):
                published.publish(linear_bundle("mass", seq, [1.0, -10.0], bias=1000.0 * (seq - 1)))
                eventually(lambda seq=seq: _newest(server) == str(seq), 20.0)  # type: ignore[misc]  # a default binds it
            enough.set()
            for one in running:
                one.result()
    assert Counter(reply.status for _, reply in replies) == {200: len(replies)}
    assert [number for number, reply in replies if not is_right(reply, number)] == []
    versions = {reply.document["model_version"] for _, reply in replies}
    assert versions == {str(seq) for seq in range(1, 2 + SWAPS)}


def test_bundle_that_fails_its_proof_leaves_the_version_that_serves(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, -10.0]))
    with ModelServer(tmp_path / "home", published, [{"stream": "mass"}], LOOKING) as server:
        server.start_serving()
        published.publish(linear_bundle("mass", 2, [1.0, -10.0], golden_wrong=True))
        eventually(lambda: "golden_mismatch" in server.log, 20.0)
        assert is_right(asked(server, 7), 7)
        assert _newest(server) == "1"


def test_earlier_versions_answer_under_their_numbers_and_after_a_restart(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, -10.0]))
    streams = [{"stream": "mass", "versions": 2}]
    with ModelServer(tmp_path / "home", published, streams, LOOKING) as server:
        server.start_serving()
        published.publish(linear_bundle("mass", 2, [1.0, -10.0], bias=1000.0))
        # Only what is recorded survives; it answers a moment before.
        recorded = b'millhand_model_reloads_total{model="mass",outcome="activated"} 2.0'
        eventually(lambda: recorded in server.request("GET", "/metrics").body, 20.0)
        server.kill()
        server.published = Published(tmp_path / "gone", published.keys)
        server.start_serving()
        found = server.request("GET", "/v2/models/mass").document["versions"]
        assert found == ["2", "1"]


def test_what_does_not_fit_the_queue_is_refused_at_once(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, -10.0], layers=SLOW_LAYERS))
    limits = {"max_waiting": 20}
    server = ModelServer(tmp_path / "home", published, [{"stream": "mass"}], {"limits": limits})
    with server:
        server.start_serving()
        assert asked(server, 1, rows=21).status == 429
        with ThreadPoolExecutor(16) as clients:
            replies = list(clients.map(lambda number: asked(server, number, rows=5), range(64)))
        statuses = Counter(reply.status for reply in replies)
        assert set(statuses) == {200, 429}
        assert {reply.headers["retry-after"] for reply in replies if reply.status == 429} == {"1"}
        late = [asked(server, number, rows=20, timeout_us=1) for number in range(3)]
        assert {reply.status for reply in late} == {504}
        assert asked(server, 3).status == 200


def test_stop_answers_what_is_under_way(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, -10.0], layers=SLOW_LAYERS))
    with ModelServer(tmp_path / "home", published, [{"stream": "mass"}]) as server:
        server.start_serving()
        with ThreadPoolExecutor(4) as clients:
            running = [clients.submit(asked, server, number, 20) for number in range(4)]
            eventually(lambda: _under_way(server) > 1, 20.0, "a request under way beside this one")
            assert server.stop() == 0
            statuses = {one.result().status for one in running}
        assert statuses <= {200, 503}
        assert 200 in statuses


def _under_way(server: ModelServer) -> int:
    """How many requests wait for their answer, the one that asks included."""
    told = server.request("GET", "/metrics").body
    found = re.search(rb"^millhand_requests_under_way (\d+)", told, re.MULTILINE)
    return int(found[1]) if found else 0


def test_model_that_fails_on_one_request_answers_the_others(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, -10.0], fails_above=1095.0))
    with ModelServer(tmp_path / "home", published, [{"stream": "mass"}]) as server:
        server.start_serving()
        numbers = [DEADLY if number % 7 == 0 else number % 40 for number in range(200)]
        with ThreadPoolExecutor(CLIENTS) as clients:
            replies = list(clients.map(lambda number: asked(server, number), numbers))
    wrong = [
        number
        for number, reply in zip(numbers, replies, strict=True)
        if (reply.status == 500) != (number == DEADLY)
        or (reply.status == 200 and not is_right(reply, number))
    ]
    assert wrong == []
    assert "model_failed" in next(reply for reply in replies if reply.status == 500).error
    figure(f"{len(replies)} requests, each seventh of which the model fails on")


@pytest.mark.parametrize("hung", [200])
def test_hung_clients_keep_nobody_from_an_answer(tmp_path: Path, hung: int) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, -10.0]))
    limits = {"max_connections": hung + 10, "client_s": 30.0}
    server = ModelServer(tmp_path / "home", published, [{"stream": "mass"}], {"limits": limits})
    with server:
        server.start_serving()
        clients = [socket.create_connection((HOST, server.port)) for _ in range(hung)]
        for client in clients:
            client.sendall(b"POST /v2/models/mass/infer HTTP/1.1\r\nHost:")
        assert is_right(asked(server, 5), 5)
        for client in clients:
            client.close()


def _newest(server: ModelServer) -> str:
    """The version that answers by default."""
    version: str = server.request("GET", "/v2/models/mass").document["versions"][0]
    return version
