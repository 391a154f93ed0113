"""The proxy does to a connection what its name says, and to the next one nothing."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.kit.broker.brokers import HOST, free_port
from tests.kit.broker.proxy import TO_BROKER, TO_CLIENT, Proxy
from tests.kit.waiting import eventually


class Echo:
    """A broker that says whatever is said to it."""

    def __init__(self) -> None:
        self.heard = b""
        self._server = socket.create_server((HOST, 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, suppress(OSError):  # a connection may be cut
            while chunk := client.recv(4096):
                self.heard += chunk
                client.sendall(chunk)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as made:
        yield made


def connected(proxy: Proxy) -> socket.socket:
    """A connection that is known to go through."""
    client = socket.create_connection((HOST, proxy.port), timeout=10)
    client.sendall(b"hello")
    assert received(client, 5) == b"hello"
    return client


def received(client: socket.socket, size: int) -> bytes:
    """What comes until `size` bytes are there or the connection ends."""
    content = b""
    while len(content) < size and (chunk := client.recv(size - len(content))):
        content += chunk
    return content


def test_cut_on_the_way_back_leaves_so_many_bytes_and_ends(proxy: Proxy) -> None:
    with connected(proxy) as client:
        proxy.cut_after(3, TO_CLIENT)
        client.sendall(b"0123456789")
        assert received(client, 100) == b"012"
    assert proxy.cuts == 1


def test_cut_on_the_way_there_leaves_so_many_bytes_and_ends(proxy: Proxy, echo: Echo) -> None:
    with connected(proxy) as client:
        proxy.cut_after(4, TO_BROKER)
        client.sendall(b"0123456789")
        assert received(client, 100) in (b"", b"0123")
    eventually(lambda: echo.heard == b"hello0123")


def test_next_connection_after_a_cut_is_whole(proxy: Proxy) -> None:
    with connected(proxy) as client:
        proxy.cut_after(0, TO_CLIENT)
        client.sendall(b"x")
        assert received(client, 1) == b""
    with connected(proxy):
        assert proxy.cuts == 1


def test_silent_connection_swallows_all_and_stays_open(proxy: Proxy, echo: Echo) -> None:
    with connected(proxy) as client, connected(proxy) as second:
        proxy.silence()
        client.sendall(b"nobody hears this")
        second.sendall(b"nor this")
        assert proxy.connections == 0
        with connected(proxy) as third:
            third.sendall(b"but this")
            assert received(third, 8) == b"but this"
        client.settimeout(0)
        with pytest.raises(BlockingIOError):
            client.recv(1)
    assert echo.heard == b"hellohellohellobut this"


def test_throttled_connection_loses_nothing(proxy: Proxy) -> None:
    with connected(proxy) as client:
        proxy.throttle(100_000)
        content = bytes(range(256)) * 40
        client.sendall(content)
        assert received(client, len(content)) == content


def test_everything_passed_on_is_tapped(echo: Echo) -> None:
    heard: list[tuple[int, str, bytes]] = []
    with Proxy(echo.port, lambda *one: heard.append(one)) as proxy, connected(proxy):
        eventually(lambda: len(heard) == 2)
    assert heard == [(1, TO_BROKER, b"hello"), (1, TO_CLIENT, b"hello")]


def test_client_of_a_dead_broker_is_turned_away() -> None:
    with (
        Proxy(free_port()) as proxy,
        socket.create_connection((HOST, proxy.port), timeout=10) as client,
        suppress(ConnectionResetError),
    ):
        assert client.recv(1) == b""
