"""Every request is counted once: received = answered + refused + under way, whatever clients do."""

import asyncio
import json
import random
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from server.http.answer import Answer
from server.http.answer import json as as_json
from server.http.refusals import OverloadError
from server.http.request import Request
from server.http.routes import Table
from server.http.tally import Tally
from server.settings import Limits
from tests.kit.http.listening import Listening, read_all
from tests.kit.waiting import eventually

LIMITS = Limits(
    max_body_bytes=100_000, max_header_bytes=2048, client_s=0.5, max_connections=20, stop_s=1.0
)
LARGE = b"x" * 4_000_000


@dataclass
class Paths:
    """Handlers of requests that go well, and of those that do not."""

    held: int = 0
    tasks: set[asyncio.Event] = field(default_factory=set)

    def table(self) -> Table:
        return (
            ("GET", "/quick", self._quick),
            ("GET", "/named/{model}", self._named),
            ("POST", "/echo", self._echo),
            ("GET", "/held", self._held),
            ("GET", "/large", self._large),
            ("GET", "/bug", self._bug),
            ("GET", "/full", self._full),
        )

    def release(self) -> None:
        for one in self.tasks:
            one.set()

    async def _quick(self, _: Request) -> Answer:
        return as_json({})

    async def _named(self, request: Request) -> Answer:
        request.model, request.version = request.names["model"], "1"
        return as_json({})

    async def _echo(self, request: Request) -> Answer:
        return as_json({"body": request.body(100_000).decode()})

    async def _held(self, _: Request) -> Answer:
        self.held += 1
        event = asyncio.Event()
        self.tasks.add(event)
        async with asyncio.timeout(30):
            while not event.is_set():  # noqa: ASYNC110  another thread sets it
                await asyncio.sleep(0.01)
        return as_json({"held": True})

    async def _large(self, _: Request) -> Answer:
        return Answer(200, LARGE)

    async def _bug(self, _: Request) -> Answer:
        raise KeyError("a bug")

    async def _full(self, _: Request) -> Answer:
        raise OverloadError("so many wait")


@pytest.fixture
def paths() -> Paths:
    return Paths()


@pytest.fixture
def listening(paths: Paths) -> Iterator[Listening]:
    with Listening(paths.table(), LIMITS).running() as made:
        yield made
        paths.release()


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: a", *headers, "", "")).encode()


def post(body: bytes, *headers: str) -> bytes:
    lines = ("POST /echo HTTP/1.1", "Host: a", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def chunked(body: bytes) -> bytes:
    return post(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), "Transfer-Encoding: chunked")


def last(path: str) -> bytes:
    return get(path, "Connection: close")


def statuses(found: bytes) -> list[int]:
    """The statuses of answers that stand one behind the other."""
    return [int(line.split()[0]) for line in found.split(b"HTTP/1.1 ")[1:]]


def abort(client: socket.socket) -> None:
    """Close a connection by RST, as a client that crashes does."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def balance(tally: Tally) -> tuple[int, int, dict[str, int]]:
    """What was received, answered and refused, once nothing is under way; it has to add up."""
    refused = {reason: count for reason, count in tally.refused.items() if count}
    assert tally.under_way == 0
    assert tally.received == tally.answered + sum(refused.values())
    ended = sum(one.count for one in tally.series.values()) + sum(tally.unread.values())
    assert ended == tally.received
    return tally.received, tally.answered, refused


ASKED: dict[str, tuple[bytes, list[int], tuple[int, int, dict[str, int]]]] = {
    "one": (last("/quick"), [200], (1, 1, {})),
    "head": (
        b"HEAD /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        [200],
        (1, 1, {}),
    ),
    "pipeline": (get("/quick") * 9 + last("/quick"), [200] * 10, (10, 10, {})),
    "pipeline of bodies": (
        post(b"a" * 99, "Content-Length: 99") + chunked(b"b" * 999) + last("/quick"),
        [200] * 3,
        (3, 3, {}),
    ),
    "bug": (get("/bug") + last("/quick"), [500, 200], (2, 1, {"bug": 1})),
    "refusals": (
        get("/full") + get("/nothing") + b"PUT /quick HTTP/1.1\r\nHost: a\r\n\r\n" + last("/quick"),
        [429, 404, 405, 200],
        (4, 1, {"overload": 1, "not_found": 1, "method": 1}),
    ),
    "body too large": (post(b"", "Content-Length: 100001"), [413], (1, 0, {"too_large": 1})),
    "slow body": (post(b"x", "Content-Length: 9"), [408], (1, 0, {"slow": 1})),
    "nothing": (b"", [408], (1, 0, {"slow": 1})),
    "slow headers": (b"GET /quick HT", [408], (1, 0, {"slow": 1})),
    "no http": (b"\x16\x03\x01 hello\r\n\r\n", [400], (1, 0, {"not_http": 1})),
    "long headers": (get("/quick", "A: " + "a" * 3000), [431], (1, 0, {"headers": 1})),
    "endless headers": (b"GET /quick HTTP/1.1\r\nA: " + b"a" * 3000, [431], (1, 0, {"headers": 1})),
    "chunk without length": (
        post(b"zz\r\n", "Transfer-Encoding: chunked"),
        [400],
        (1, 0, {"not_http": 1}),
    ),
    "rubbish behind a request": (
        get("/quick") + b"\x16\x03\x01 hello\r\n\r\n",
        [200, 400],
        (2, 1, {"not_http": 1}),
    ),
    "bad chunk behind a request": (
        get("/quick") + post(b"zz\r\n", "Transfer-Encoding: chunked"),
        [200, 400],
        (2, 1, {"not_http": 1}),
    ),
    "half a request behind a request": (
        get("/quick") + b"GET /qui",
        [200, 408],
        (2, 1, {"slow": 1}),
    ),
    "requests behind the last": (
        last("/quick") + get("/quick") * 2,
        [200],
        (1, 1, {}),
    ),
}


@pytest.mark.parametrize("case", ASKED)
def test_each_request_is_answered_in_turn_and_counted_once(listening: Listening, case: str) -> None:
    sent, answered, counted = ASKED[case]
    assert statuses(listening.ask(sent)) == answered
    listening.settle()
    assert balance(listening.tally) == counted


def test_client_that_goes_while_its_answer_is_made_is_counted_once(
    listening: Listening, paths: Paths
) -> None:
    client = listening.connect()
    client.sendall(get("/held"))
    eventually(lambda: paths.held == 1)
    assert listening.tally.under_way == 1
    abort(client)
    eventually(lambda: listening.connections == 0)
    paths.release()
    listening.settle()
    assert balance(listening.tally) == (1, 0, {"client_gone": 1})
    assert [kind.status for kind in listening.tally.series] == [0]


def test_client_that_goes_before_its_body_is_whole_is_counted_once(listening: Listening) -> None:
    with listening.connect() as client:
        client.sendall(post(b"half", "Content-Length: 9"))
        eventually(lambda: listening.tally.under_way == 1)
    listening.settle()
    assert balance(listening.tally) == (1, 0, {"client_gone": 1})


def test_pipeline_of_a_client_that_goes_is_counted_whole(
    listening: Listening, paths: Paths
) -> None:
    with listening.connect() as client:
        client.sendall(get("/held") + get("/quick") * 4)
        eventually(lambda: paths.held == 1)
        assert listening.tally.received == 5
        abort(client)
    paths.release()
    listening.settle()
    received, _, refused = balance(listening.tally)
    assert received == 5
    assert set(refused) == {"client_gone"}


def test_refusal_waits_for_the_answers_to_the_requests_before_it(
    listening: Listening, paths: Paths
) -> None:
    with listening.connect() as client:
        client.sendall(get("/held") + b"GET /qui")
        eventually(lambda: len(paths.tasks) == 1)
        client.settimeout(1.5 * LIMITS.client_s)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(10)
        paths.release()
        found = read_all(client)
    assert statuses(found) == [200, 408]
    listening.settle()
    assert balance(listening.tally) == (2, 1, {"slow": 1})


def test_pipeline_of_large_bodies_is_not_taken_for_long_headers(listening: Listening) -> None:
    body = b"x" * 50_000
    with listening.connect() as client:
        client.sendall(post(body, f"Content-Length: {len(body)}") * 3 + b"GET /quick HTTP/1.1\r\n")
        client.sendall(b"Host: a\r\nConnection: close\r\n\r\n")
        found = read_all(client)
    assert statuses(found) == [200] * 4
    listening.settle()
    assert balance(listening.tally) == (4, 4, {})


def test_client_that_takes_no_answer_is_cut_off(listening: Listening) -> None:
    with listening.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(get("/large") * 3)
        eventually(lambda: listening.tally.received == 3)
        listening.settle()
    received, _, refused = balance(listening.tally)
    assert received == 3
    assert refused["client_gone"] > 0


def test_bytes_between_requests_keep_no_connection_open(listening: Listening) -> None:
    with listening.connect() as client:
        client.sendall(get("/quick"))
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"\r\n")
        assert statuses(read_all(client)) == [408]
    listening.settle()
    assert balance(listening.tally) == (2, 1, {"slow": 1})


def test_connection_beyond_the_limit_takes_the_place_of_one_that_waits(
    listening: Listening,
) -> None:
    clients = [listening.connect() for _ in range(LIMITS.max_connections)]
    eventually(lambda: listening.connections == len(clients))
    assert statuses(listening.ask(last("/quick"))) == [200]
    for one in clients:
        one.close()
    listening.settle()
    assert balance(listening.tally) == (2, 1, {"connections": 1})


def test_stop_ends_a_request_that_does_not_end_with_a_sentence(
    listening: Listening,
) -> None:
    with listening.connect() as client:
        client.sendall(get("/held"))
        eventually(lambda: listening.tally.under_way == 1)
        listening.stop()
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert statuses(head) == [503]
    assert "stops" in json.loads(body)["error"]
    assert balance(listening.tally) == (1, 0, {"unavailable": 1})


def test_requests_are_counted_by_what_they_name_and_get(listening: Listening) -> None:
    listening.ask(get("/named/mass") + get("/named/mass") + get("/quick") + last("/none/such"))
    listening.settle()
    counted = {tuple(kind): one.count for kind, one in listening.tally.series.items()}
    assert counted == {
        ("mass", "1", "/named/{model}", 200): 2,
        ("", "", "/quick", 200): 1,
        ("", "", "none", 404): 1,
    }


def test_counters_balance_under_random_abuse(listening: Listening, paths: Paths) -> None:
    """Clients send pieces of requests, cut anywhere, and leave at any moment."""
    rng = random.Random(7)  # noqa: S311  a seed, so that the test can be repeated
    pieces = [sent for sent, *_ in ASKED.values()] + [get("/large"), get("/held"), b"\r\n", b"\0"]
    for _ in range(150):
        sent = b"".join(rng.choices(pieces, k=rng.randint(1, 4)))
        with listening.connect() as client:
            client.settimeout(0.1)  # it may wait for a request that is held
            try:
                client.sendall(sent[: rng.randint(1, len(sent))])
                if rng.random() < 0.3:
                    client.shutdown(socket.SHUT_WR)
                if rng.random() < 0.5:
                    client.recv(1000)
            except OSError:
                pass
        paths.release()

    def is_settled() -> bool:
        paths.release()
        return listening.is_settled

    eventually(is_settled, 20)
    received, answered, refused = balance(listening.tally)
    assert received > 100
    assert answered
    assert refused
