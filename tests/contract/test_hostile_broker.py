"""Whatever bytes a broker sends, the connection accepts them or ends, and never raises."""

import select
import socket
import threading
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.settings import ConnectionSettings
from agent.mqtt.connection import Connection, Will
from tests.kit.broker.brokers import HOST
from tests.kit.waiting import eventually

CONNACKS = {4: b"\x20\x02\x00\x00", 5: b"\x20\x03\x00\x00\x00"}
packets = st.builds(
    lambda first, body: bytes([first, len(body)]) + body,
    st.integers(0, 255),
    st.binary(max_size=120),
)


@pytest.mark.parametrize("version", CONNACKS)
@settings(max_examples=60)
@given(sent=st.lists(packets | st.binary(max_size=50), max_size=4).map(b"".join))
def test_no_bytes_break_the_connection_out_of_its_bounds(version: int, sent: bytes) -> None:
    with socket.create_server((HOST, 0)) as server:
        broker = threading.Thread(target=serve, args=(server, CONNACKS[version] + sent))
        broker.start()
        settings = ConnectionSettings(host=HOST, port=server.getsockname()[1])
        connection = Connection(settings, "gw", Will("gw/status", b""), version)
        connection.open()

        def ended() -> bool:
            connection.flush()
            descriptor = connection.fileno()
            if descriptor is None:
                return True
            select.select([descriptor], [], [], 0.05)
            connection.read(100)
            return bool(connection.lost)

        eventually(ended)
        assert connection.lost
        broker.join(10)


def serve(server: socket.socket, answer: bytes) -> None:
    """Answer one CONNECT, and close the connection."""
    client, _ = server.accept()
    with client, suppress(OSError):  # a client that leaves bytes unread resets the connection
        client.recv(4096)
        client.sendall(answer)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(5)
        while client.recv(4096):
            pass
