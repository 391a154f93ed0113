"""The broker profile that is shipped: Mosquitto takes it, and it refuses strangers."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import eventually

CONFIG = Path(__file__).parents[2] / "config"
SYSTEM_PATH = f"{os.environ['PATH']}:/usr/sbin"
CONNACK = b"\x20\x02\x00"
ACCEPTED, BAD_LOGIN, NOT_AUTHORISED = b"\x00", b"\x04", b"\x05"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a Mosquitto that runs the profile, with gateway-1 as its only login."""
    shutil.copy(CONFIG / "mosquitto.acl", tmp_path / "millhand.acl")
    (tmp_path / "millhand.passwd").touch(mode=0o600)
    secrets = tmp_path / "millhand.passwd"
    subprocess.run(
        [program("mosquitto_passwd"), "-b", str(secrets), "gateway-1", "right"], check=True
    )
    port = free_port()
    profile = (CONFIG / "mosquitto.conf").read_text().replace("/etc/mosquitto/", f"{tmp_path}/")
    profile = re.sub(r"^listener 1883", f"listener {port}", profile, flags=re.MULTILINE)
    if os.geteuid() == 0:
        profile += "user root\n"
    (tmp_path / "mosquitto.conf").write_text(f"persistence_location {tmp_path}/\n{profile}")
    with subprocess.Popen(
        [program("mosquitto"), "-c", str(tmp_path / "mosquitto.conf")], stderr=subprocess.DEVNULL
    ) as broker:
        try:
            eventually(lambda: listening(port), message="the broker listens")
            yield port
        finally:
            broker.terminate()


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


def program(name: str) -> str:
    found = shutil.which(name, path=SYSTEM_PATH)
    assert found, f"{name} is missing: sudo apt install mosquitto"
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
