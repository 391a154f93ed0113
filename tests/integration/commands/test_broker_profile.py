"""The broker profile that is shipped: Mosquitto takes it, and it refuses strangers."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.broker.brokers import shipped

CONNACK = b"\x20\x02\x00"
ACCEPTED, BAD_LOGIN, NOT_AUTHORISED = b"\x00", b"\x04", b"\x05"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a Mosquitto that runs the profile, with gateway-1 as its only login."""
    with shipped(tmp_path / "broker", {"gateway-1": "right"}) as broker:
        yield broker.port


def test_profile_lets_a_gateway_in(port: int) -> None:
    assert connack(port, user="gateway-1", password="right") == CONNACK + ACCEPTED


def test_profile_refuses_a_wrong_password(port: int) -> None:
    answer = connack(port, user="gateway-1", password="wrong")
    assert answer in {CONNACK + NOT_AUTHORISED, CONNACK + BAD_LOGIN}


def test_profile_refuses_the_nameless(port: int) -> None:
    answer = connack(port)
    assert answer in {CONNACK + NOT_AUTHORISED, CONNACK + BAD_LOGIN}


def connack(port: int, *, user: str = "", password: str = "") -> bytes:
    """What the broker answers to an MQTT 3.1.1 CONNECT (specification 3.1)."""
    login = [text.encode() for text in ("anybody", user, password) if text]
    flags = 0xC2 if user else 0x02  # user name, password, clean session
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x1e"
    body += b"".join(len(text).to_bytes(2) + text for text in login)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"\x10" + len(body).to_bytes(1) + body)
        return connection.recv(4)
