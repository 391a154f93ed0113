"""What kind of server listens at the broker's address, where the connection to it fails."""

import socket
import ssl
from contextlib import suppress

from agent.config.settings import Broker
from serving.mqtt.errors import reason_of

# CONNECT of MQTT 3.1.1 without login and with a clean session (3.1): nothing stays on the broker.
_CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00"
_CONNACK = 0x20
_LONGEST_S = 5.0


def mismatch(broker: Broker) -> str:
    """Whether one side speaks TLS and the other does not, in words; empty if that is not seen."""
    if broker.uses_tls:
        if _speaks_plainly(broker):
            return (
                f"port {broker.port} speaks MQTT without TLS: give the port for TLS, often 8883, "
                "or leave out broker.tls and broker.ca_file"
            )
    elif _speaks_tls(broker):
        return f"port {broker.port} speaks TLS: set broker.ca_file, or broker.tls = true"
    return ""


def _speaks_tls(broker: Broker) -> bool:
    """Begin a TLS handshake. Whom the certificate belongs to is not asked: nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _connected(broker) as raw, context.wrap_socket(raw):
            return True
    except ssl.SSLError as exc:
        return "ALERT" in (exc.reason or "")  # it has answered in TLS
    except OSError:
        return False


def _speaks_plainly(broker: Broker) -> bool:
    """Send a CONNECT without a login; whatever answers with CONNACK speaks MQTT."""
    with suppress(OSError), _connected(broker) as raw:
        raw.sendall(_CONNECT)
        return raw.recv(1) == bytes([_CONNACK])
    return False


def _connected(broker: Broker) -> socket.socket:
    limit_s = min(broker.connect_timeout_s, _LONGEST_S)
    return socket.create_connection((broker.host, broker.port), timeout=limit_s)


def try_handshake(broker: Broker) -> str:
    """Connect without MQTT, which no session notices; returns why that fails, else empty.

    Raises nothing: what fails is the answer.
    """
    try:
        with _connected(broker) as raw:
            if broker.uses_tls:
                context = ssl.create_default_context(cafile=broker.ca_file)
                with context.wrap_socket(raw, server_hostname=broker.host):
                    return ""
    except OSError as exc:
        return reason_of(exc)
    return ""
