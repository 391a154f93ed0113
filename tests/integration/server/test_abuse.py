"""What a hostile or broken client sends: it gets its own answers, and nobody else suffers."""

import gzip
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.kit.broker.brokers import HOST
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.errors import KitError
from tests.kit.http.noise import make_noise
from tests.kit.http.raw_client import RawClient, chunked, read, request
from tests.kit.model_server import ModelServer, Reply
from tests.kit.waiting import eventually

INFER = "/v2/models/mass/infer"
MIB = 1 << 20
LIMITS: dict[str, object] = {
    "max_body_bytes": 64 << 10,
    "max_header_bytes": 4096,
    "max_pipelined": 8,
    "client_s": 1.0,
    "idle_s": 1.0,
}
CLIENTS = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server with small limits, whose model answers c0 + 10 where c1 is -1."""
    folder: Path = tmp_path_factory.mktemp("server")
    with made(folder, {"limits": LIMITS}) as started:
        yield started.start_serving()


def made(folder: Path, sections: dict[str, dict[str, object]]) -> ModelServer:
    published = Published.create(folder)
    published.publish(linear_bundle("mass", 1, [1.0, -10.0]))
    return ModelServer(folder / "home", published, [{"stream": "mass"}], sections)


def body(number: int) -> bytes:
    data = [[[number % 50, -1]]]
    tensor = {"name": "window", "datatype": "FP32", "shape": [1, 1, 2], "data": data}
    return json.dumps({"id": str(number), "inputs": [tensor]}).encode()


def infer(number: int, *lines: str) -> bytes:
    return request("POST", INFER, body(number), *lines)


def is_right(reply: Reply, number: int) -> bool:
    """Whether a reply is the answer to this request."""
    if reply.status != 200:
        return False
    document = reply.document
    (value,) = next(one["data"] for one in document["outputs"] if one["name"] == "value")
    return bool(document["id"] == str(number) and value == number % 50 + 10)


def ask(port: int, number: int) -> bool:
    """Ask for one prediction on a connection of its own, and whether it is right."""
    with RawClient(port) as client:
        (reply,) = client.send(infer(number)).answers(1).replies
    return is_right(reply, number)


def resident_bytes(server: ModelServer) -> int:
    """Memory of the server that is in RAM."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files(server: ModelServer) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


CHUNKS = "Transfer-Encoding: chunked\r\n"
POST = f"POST {INFER} HTTP/1.1\r\nHost: {HOST}\r\n"
HIDDEN = infer(13).decode()
"""A request that a proxy would take for a part of the one before."""
UNREADABLE: dict[str, tuple[str, int]] = {
    "length and chunks": (
        POST + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunks and length": (
        POST + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (POST + "Content-Length: 0\r\nContent-Length: 300\r\n\r\n", 400),
    "one length twice": (POST + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400),
    "list of lengths": (POST + "Content-Length: 0, 0\r\n\r\n", 400),
    "length with a sign": (POST + "Content-Length: +0\r\n\r\n", 400),
    "length below zero": (POST + "Content-Length: -1\r\n\r\n", 400),
    "hexadecimal length": (POST + "Content-Length: 0x0\r\n\r\n", 400),
    "endless length": (POST + "Content-Length: 99999999999999999999\r\n\r\n", 400),
    "empty length": (POST + "Content-Length:\r\n\r\n", 400),
    "space before the colon": (POST + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "other coding": (POST + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "chunked, not last": (POST + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    "more than chunked": (POST + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunks in HTTP 1.0": (
        f"POST {INFER} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "folded header": (POST + "X: a\r\n Content-Length: 0\r\n\r\n", 400),
    "zero byte": (POST + "X: a\0b\r\n\r\n", 400),
    "line end inside a value": (POST + "X: a\rb\r\n\r\n", 400),
    "line ends without CR": (f"GET /v2 HTTP/1.1\nHost: {HOST}\n\n", 400),
    "no host": ("GET /v2 HTTP/1.1\r\n\r\n", 400),
    "two hosts": (f"GET /v2 HTTP/1.1\r\nHost: {HOST}\r\nHost: {HOST}\r\n\r\n", 400),
    "HTTP 2": (f"GET /v2 HTTP/2.0\r\nHost: {HOST}\r\n\r\n", 505),
    "HTTP 0.9": ("GET /v2\r\n\r\n", 505),
    "method in small letters": (f"get /v2 HTTP/1.1\r\nHost: {HOST}\r\n\r\n", 400),
    "tunnel": (f"CONNECT {HOST}:1 HTTP/1.1\r\nHost: {HOST}:1\r\n\r\n", 501),
    "asterisk": (f"OPTIONS * HTTP/1.1\r\nHost: {HOST}\r\n\r\n", 400),
    "chunk size is no number": (POST + CHUNKS + "\r\nXY\r\n", 400),
    "chunk size with 0x": (POST + CHUNKS + "\r\n0x1\r\na\r\n0\r\n\r\n", 400),
    "chunk size below zero": (POST + CHUNKS + "\r\n-1\r\n", 400),
    "chunk size overflows": (POST + CHUNKS + "\r\n" + "f" * 17 + "\r\na", 400),
    "chunk is too long": (POST + CHUNKS + "\r\n1\r\nab0\r\n\r\n", 400),
    "chunk without CR": (POST + CHUNKS + "\r\n1\na\r\n0\r\n\r\n", 400),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_request_of_two_readings_is_refused_and_nothing_behind_it_is_answered(
    server: ModelServer, case: str
) -> None:
    sent, status = UNREADABLE[case]
    with RawClient(server.port) as client:
        found = client.send(infer(7) + (sent + HIDDEN).encode("latin-1")).answers()
    assert found.statuses == [200, status]
    assert is_right(found.replies[0], 7)
    assert found.replies[1].error
    assert found.replies[1].headers["connection"] == "close"
    assert found.rest == b""


def test_mixed_requests_sent_ahead_are_answered_in_their_order(server: ModelServer) -> None:
    sent = [
        infer(1),
        request("GET", "/nothing"),
        infer(2),
        request("POST", INFER, b"{"),
        request("PUT", INFER, b"{}"),
        chunked(INFER, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body(3)), body(3))),
        b"\x00\xff\r\n\r\n",
        infer(4),
    ]
    with RawClient(server.port) as client:
        found = client.send(b"".join(sent)).answers()
    assert found.statuses == [200, 404, 200, 400, 405, 200, 400]
    assert [is_right(found.replies[at], number) for at, number in ((0, 1), (2, 2), (5, 3))] == [
        True
    ] * 3
    assert found.rest == b""


def test_requests_beyond_the_limit_are_asked_again_on_another_connection(
    server: ModelServer,
) -> None:
    numbers, rounds = list(range(30)), 0
    while numbers:
        with RawClient(server.port) as client:
            found = client.send(b"".join(infer(number) for number in numbers)).answers()
        assert 0 < len(found.replies) <= 10
        assert all(map(is_right, found.replies, numbers))
        if len(found.replies) < len(numbers):
            assert found.replies[-1].headers["connection"] == "close"
        numbers = numbers[len(found.replies) :]
        rounds += 1
    assert rounds > 1


def test_requests_in_single_bytes_are_answered_like_whole_ones(server: ModelServer) -> None:
    with RawClient(server.port) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(sent := infer(8) + infer(9))):
            client.send(sent[at : at + 1])
        found = client.answers(2)
    assert [is_right(reply, number) for reply, number in zip(found.replies, (8, 9), strict=True)]
    assert found.statuses == [200, 200]


def test_trailer_does_not_change_its_request_nor_the_next_one(server: ModelServer) -> None:
    trailers = b"Content-Encoding: gzip\r\nHost: x\r\nX: y\r\n"
    sent = chunked(INFER, b"%x;a=b\r\n%b\r\n0\r\n%b\r\n" % (len(body(5)), body(5), trailers))
    with RawClient(server.port) as client:
        found = client.send(sent).send(infer(6)).answers(2)
    assert [is_right(found.replies[0], 5), is_right(found.replies[1], 6)] == [True, True]


@pytest.mark.parametrize("cut", [1, 60, 250, 400])
def test_wish_for_another_protocol_is_ignored(server: ModelServer, cut: int) -> None:
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    sent = infer(1, *upgrade) + infer(2) + request("GET", "/v2", b"", *upgrade) + infer(3)
    with RawClient(server.port) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found = client.send(sent[:cut]).send(sent[cut:]).answers(4)
    assert found.statuses == [200] * 4
    assert [is_right(found.replies[at], number) for at, number in ((0, 1), (1, 2), (3, 3))] == [
        True
    ] * 3


def test_body_is_asked_for_only_where_it_is_wanted(server: ModelServer) -> None:
    expects = f"POST {INFER} HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\n"
    with RawClient(server.port) as client:
        client.send(f"{expects}Content-Length: {len(body(3))}\r\n\r\n".encode())
        assert client.answers(1).statuses == [100]
        (reply,) = client.send(body(3)).answers(1).replies
        assert is_right(reply, 3)
    refused = {
        413: f"{expects}Content-Length: {MIB}\r\n\r\n",
        404: f"{expects}Content-Length: 3\r\n\r\n".replace(INFER, "/nothing"),
    }
    for status, head in refused.items():
        with RawClient(server.port) as client:
            found = client.send(head.encode()).answers()
        assert found.statuses == [status]
        assert found.replies[0].headers["connection"] == "close"


def test_old_clients_are_answered_once_and_without_what_they_do_not_know(
    server: ModelServer,
) -> None:
    head = f"POST {INFER} HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: {len(body(4))}\r\n"
    with RawClient(server.port) as client:
        found = client.send(f"{head}\r\n".encode() + body(4) + infer(5)).answers()
    assert found.statuses == [200]
    assert is_right(found.replies[0], 4)
    assert "transfer-encoding" not in found.replies[0].headers


def test_head_is_answered_like_get_without_the_body(server: ModelServer) -> None:
    path = "/v2/models/mass"
    with RawClient(server.port) as client:
        sent = request("HEAD", path) + request("HEAD", path, b"", "Connection: close")
        heads = client.send(sent).answers(heads=True)
    whole = server.request("GET", path)
    assert heads.statuses == [200, 200]
    assert {one.headers["content-length"] for one in heads.replies} == {str(len(whole.body))}
    assert heads.rest == b""


ENDLESS: dict[str, tuple[bytes, bytes, int]] = {
    "announced body": (f"{POST}Content-Length: {2 << 30}\r\n\r\n".encode(), b"x" * MIB, 413),
    "chunks": (chunked(INFER, b""), b"100000\r\n" + b"x" * MIB + b"\r\n", 413),
    "chunks of one byte": (chunked(INFER, b""), b"1\r\nx\r\n" * 10_000, 413),
    "extension of a chunk": (chunked(INFER, b"1;"), b"x" * MIB, 431),
    "trailers": (chunked(INFER, b"1\r\nx\r\n0\r\n"), b"Name: value\r\n" * 10_000, 431),
    "one trailer": (chunked(INFER, b"1\r\nx\r\n0\r\nName: "), b"x" * MIB, 431),
    "request line": (b"GET /", b"x" * MIB, 431),
    "one header": (b"GET /v2 HTTP/1.1\r\nName: ", b"x" * MIB, 431),
    "headers": (b"GET /v2 HTTP/1.1\r\n", b"Name: value\r\n" * 10_000, 431),
    "empty lines": (b"", b"\r\n" * 10_000, 431),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_two_gigabytes_are_cut_off_at_the_limit_without_memory(
    server: ModelServer, case: str
) -> None:
    head, part, status = ENDLESS[case]
    before = resident_bytes(server)
    most, sent = before, 0
    with RawClient(server.port) as client:
        client.send(head)
        with suppress(ConnectionError):
            while sent < 2 << 30:
                client.send(part)
                sent += len(part)
                most = max(most, resident_bytes(server))
        assert sent < 64 * MIB
        assert client.answers().statuses in ([status], [])  # the system may drop it with the rest
    assert most - before < 16 * MIB
    assert ask(server.port, 21)


TOO_LONG: dict[str, tuple[bytes, int]] = {
    "announced body": (ENDLESS["announced body"][0] + b"x" * (40 << 10), 413),
    "chunk": (chunked(INFER, b"18000\r\n" + b"x" * (96 << 10)), 413),
    "request line": (b"GET /" + b"x" * (40 << 10), 431),
    "headers": (b"GET /v2 HTTP/1.1\r\n" + b"Name: value\r\n" * 3000, 431),
}


@pytest.mark.parametrize("case", TOO_LONG)
def test_client_that_is_still_sending_reads_why_it_is_cut_off(
    server: ModelServer, case: str
) -> None:
    sent, status = TOO_LONG[case]
    with RawClient(server.port) as client:
        assert client.send(sent).answers().statuses == [status]


def test_small_body_that_inflates_without_end_is_cut_off_without_memory(
    server: ModelServer,
) -> None:
    bomb = gzip.compress(b"0" * (60 * MIB))
    assert len(bomb) < 64 << 10
    before = resident_bytes(server)
    for _ in range(5):
        with RawClient(server.port) as client:
            sent = request("POST", INFER, bomb, "Content-Encoding: gzip")
            assert client.send(sent).answers(1).statuses == [413]
    assert resident_bytes(server) - before < 16 * MIB


def test_long_bodies_that_do_not_end_leave_room_for_others(tmp_path: Path) -> None:
    limits: dict[str, object] = {
        "max_body_bytes": 8 * MIB,
        "max_bodies_bytes": 16 * MIB,
        "client_s": 20.0,
    }
    with made(tmp_path, {"limits": limits}) as server, ExitStack() as stack:
        server.start_serving()
        before, statuses = resident_bytes(server), list[int]()
        head = f"{POST}Content-Length: {8 * MIB}\r\n\r\n".encode()
        for _ in range(30):
            client = stack.enter_context(RawClient(server.port))
            client.send(head)
            with suppress(ConnectionError):
                client.send(b"[" * (7 * MIB))
                client.socket.settimeout(0.2)
            with suppress(TimeoutError):
                statuses += client.answers(1).statuses
        assert set(statuses) == {503}
        assert len(statuses) >= 28
        assert resident_bytes(server) - before < 64 * MIB
        assert ask(server.port, 23)


SLOW: dict[str, tuple[bytes, bytes]] = {
    "headers": (b"GET /v2 HTTP/1.1\r\n", b"X: y\r\n"),
    "body": (f"{POST}Content-Length: 1000\r\n\r\n".encode(), b"x"),
    "chunks": (chunked(INFER, b""), b"1\r\nx\r\n"),
    "empty lines": (b"", b"\r\n"),
    "empty lines behind an answer": (infer(1), b"\r\n"),
}


@pytest.mark.parametrize("case", SLOW)
def test_client_that_goes_on_slowly_is_given_up(server: ModelServer, case: str) -> None:
    head, drop = SLOW[case]
    with RawClient(server.port) as client:
        client.send(head)
        client.socket.settimeout(0.1)
        content = b""

        def is_closed() -> bool:
            nonlocal content
            with suppress(TimeoutError):
                client.send(drop)
                content += (part := client.socket.recv(1 << 16))
                return not part
            return False

        with suppress(ConnectionError):
            eventually(is_closed, 15.0)
    assert [one.status for one in read(content).replies][-1:] == [408]


def test_client_that_takes_no_answers_is_cut_off(server: ModelServer) -> None:
    before = open_files(server)
    part = request("GET", "/" + "x" * 3000) * 4
    with RawClient(server.port) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.socket.settimeout(3.0)
        with suppress(ConnectionError, TimeoutError):
            for _ in itertools.repeat(None, 100_000):
                client.send(part)
        eventually(lambda: open_files(server) <= before, 15.0, "the connection to be closed")
    assert ask(server.port, 22)


HUNG = {
    "heads and idle ones": (infer(7)[:30], b"", request("GET", "/v2")),
    "bodies": (infer(7)[:-9],),
}


@pytest.mark.parametrize("case", HUNG)
def test_a_thousand_hung_clients_keep_nobody_from_an_answer(tmp_path: Path, case: str) -> None:
    with made(tmp_path, {}) as server, ExitStack() as stack:
        server.start_serving()
        for number in range(1000):
            hung = stack.enter_context(RawClient(server.port))
            hung.send(HUNG[case][number % len(HUNG[case])])
        for number in range(20):
            assert ask(server.port, number)


def test_noise_disturbs_nobody_and_leaves_nothing_behind(
    server: ModelServer, figure: Callable[[str], None]
) -> None:
    make_noise(server.port, seed=1, seconds=1.0)
    files, before = open_files(server), resident_bytes(server)
    enough, asked = threading.Event(), list[bool]()

    def good() -> None:
        for number in itertools.count():
            if enough.is_set():
                return
            asked.append(ask(server.port, number))

    with ThreadPoolExecutor(1) as clients:
        running = clients.submit(good)
        try:
            noise = make_noise(server.port, seed=2, seconds=4.0)
        finally:
            enough.set()
        running.result()
    assert noise.faults == []
    assert all(asked)
    assert len(asked) > 10
    eventually(lambda: open_files(server) <= files, 20.0, "the connections to be closed")
    grown = resident_bytes(server) - before
    assert grown < 16 * MIB
    assert "Traceback" not in server.log
    figure(f"{noise.connections} connections of noise; resident memory {grown / MIB:+.1f} MiB")


def test_killed_under_load_the_server_answers_rightly_after_its_restart(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    with made(tmp_path, {"server": {"port": port}}) as server:
        server.start_serving()
        enough, outcomes = threading.Event(), list[str]()

        def client(first: int) -> None:
            for number in itertools.count(first, CLIENTS):
                if enough.is_set():
                    return
                try:
                    outcomes.append("right" if ask(port, number) else "wrong")
                except (OSError, KitError, ValueError):  # no answer, while it is down
                    outcomes.append("none")

        with ThreadPoolExecutor(CLIENTS) as clients:
            running = [clients.submit(client, first) for first in range(CLIENTS)]
            eventually(lambda: outcomes.count("right") > 50, 20.0)
            server.kill()
            began_s = time.monotonic()
            server.start_serving()
            took_s = time.monotonic() - began_s
            before = outcomes.count("right")
            eventually(lambda: outcomes.count("right") > before + 50, 20.0)
            enough.set()
            for one in running:
                one.result()
    assert "wrong" not in outcomes
    figure(f"killed under load: ready {took_s:.2f} s after the restart")
