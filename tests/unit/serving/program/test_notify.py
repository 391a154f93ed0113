"""systemd hears from the agent, and a systemd that is gone does no harm."""

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.program.notify import MAX_STATUS, Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd has it, and its address as NOTIFY_SOCKET says it."""
    name = f"millhand-test-{secrets.token_hex(8)}"
    is_path = request.param == "path"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify") if is_path else f"\0{name}")
        listener.settimeout(5)
        yield listener, str(tmp_path / "notify") if is_path else f"@{name}"


def test_life_of_a_service_is_told_in_the_words_of_sd_notify(
    manager: tuple[socket.socket, str],
) -> None:
    listener, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready()
    notifier.status("serving rul 1.0.0")
    notifier.alive()
    notifier.stopping()
    assert [listener.recv(4096) for _ in range(4)] == [
        b"READY=1",
        b"STATUS=serving rul 1.0.0",
        b"WATCHDOG=1",
        b"STATUS=stopping\nSTOPPING=1",
    ]


def test_status_is_sent_when_it_changes_only(manager: tuple[socket.socket, str]) -> None:
    listener, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    for text in ("a", "a", "b", "a"):
        notifier.status(text)
    assert [listener.recv(4096) for _ in range(3)] == [b"STATUS=a", b"STATUS=b", b"STATUS=a"]
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        listener.recv(4096)


def test_status_stays_one_bounded_line(manager: tuple[socket.socket, str]) -> None:
    listener, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.status("broker\nREADY=0\x00 says " + "x" * 10_000)
    (line,) = listener.recv(65_536).decode().splitlines()
    assert line.startswith("STATUS=broker READY=0")
    assert len(line) == len("STATUS=") + MAX_STATUS


def test_full_socket_does_not_block(manager: tuple[socket.socket, str]) -> None:
    listener, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    for _ in range(2_000):  # nobody reads; systemd's queue holds a few hundred at most
        notifier.alive()
    assert listener.recv(65_536) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["", "/nonexistent/notify", "@nobody-listens", "vsock:2:1"])
def test_manager_that_is_not_there_does_no_harm(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address} if address else {})
    told = [notifier.ready, lambda: notifier.status("x"), notifier.alive, notifier.stopping]
    assert [tell() for tell in told] == [None] * 4
