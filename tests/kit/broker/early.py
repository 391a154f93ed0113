"""A broker that hands messages at QoS 2 on when they are published, as MQTT 5, 4.3.3 allows.

It is a Mosquitto, which hands them on when they are released, behind a relay that releases each
message as soon as it is published.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.kit.broker.brokers import HOST, free_port

_PUBLISH_QOS_2 = 0x34
_CHUNK = 1 << 16


@contextmanager
def early(broker_port: int) -> Iterator[int]:
    """Relay connections to a broker until the context is left; yields the port to connect to."""
    with socket.create_server((HOST, free_port())) as server:
        thread = threading.Thread(target=_serve, args=(server, broker_port), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def _serve(server: socket.socket, broker_port: int) -> None:
    relays: list[threading.Thread] = []
    with ExitStack() as sockets:
        with suppress(OSError):
            while True:
                client = sockets.enter_context(server.accept()[0])
                broker = sockets.enter_context(socket.create_connection((HOST, broker_port)))
                for way in ((client, broker, True), (broker, client, False)):
                    relays.append(threading.Thread(target=_relay, args=way))
                    relays[-1].start()
        for relay in relays:
            relay.join()


def _relay(source: socket.socket, target: socket.socket, releases: bool) -> None:  # noqa: FBT001  of a thread
    buffer = b""
    with suppress(OSError):
        while chunk := source.recv(_CHUNK):
            if not releases:
                target.sendall(chunk)
                continue
            buffer += chunk
            while packet := _first(buffer):
                buffer = buffer[len(packet) :]
                target.sendall(packet + _release(packet))
        target.shutdown(socket.SHUT_WR)


def _first(buffer: bytes) -> bytes:
    """The first packet, empty if it is not complete (MQTT 5, 2.1)."""
    length = shift = 0
    for at, byte in enumerate(buffer[1:5], start=2):
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return buffer[: at + length] if len(buffer) >= at + length else b""
    return b""


def _release(packet: bytes) -> bytes:
    """The PUBREL of a PUBLISH at QoS 2 of less than 128 bytes; nothing for other packets."""
    if packet[0] != _PUBLISH_QOS_2:
        return b""
    (topic_bytes,) = struct.unpack_from(">H", packet, 2)
    return b"\x62\x02" + packet[4 + topic_bytes : 6 + topic_bytes]
