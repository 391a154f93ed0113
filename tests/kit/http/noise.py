"""Random bytes and damaged requests, as nobody's client would send them, from a seed.

`python -m tests.kit.http.noise --minutes 10 --seed 7` starts a server, makes noise, and prints what
it has found, and the server's memory before and after. With `--page` the server has a page, and the
noise is made of what browsers ask.
"""

import argparse
import json
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.kit.broker.brokers import HOST, mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.http.raw_client import chunked, read, request
from tests.kit.model_server import ModelServer
from tests.kit.plant_page import page_server

INFER: Final = "/v2/models/mass/infer"
_TENSOR: Final = {"name": "window", "datatype": "FP32", "shape": [1, 1, 2], "data": [1, 2]}
_BODY: Final = json.dumps({"id": "7", "inputs": [_TENSOR]}).encode()
REQUESTS: Final = (
    request("POST", INFER, _BODY),
    request("POST", INFER, _BODY, "Content-Encoding: gzip", "Accept-Encoding: gzip"),
    request("POST", INFER, _BODY, "Inference-Header-Content-Length: 9"),
    request("GET", "/v2/models/mass/versions/1/ready"),
    request("POST", "/console/session", b'{"token": "a"}', "Cookie: millhand_session=a"),
    request("HEAD", "/v2", b"", "Authorization: Bearer a", "Origin: http://a"),
    chunked(INFER, b"%x\r\n%b\r\n0\r\n\r\n" % (len(_BODY), _BODY), "Expect: 100-continue"),
    b"GET http://localhost/v2 HTTP/1.0\r\n\r\n",
)
"""What programs ask of models."""
_HISTORY: Final = "/console/api/history?stream=pump-health&asset=l1/pump7"
PAGE_REQUESTS: Final = (
    request("GET", "/console"),
    request("GET", "/console/static/app.js", b"", 'If-None-Match: "a"', "Accept-Encoding: gzip"),
    request("GET", "/console/static/vendor/uplot.js"),
    request("GET", "/console/api/plant", b"", "Cookie: millhand_session=a"),
    request("GET", "/console/api/gateways", b"", "Accept-Encoding: deflate;q=0.5, gzip"),
    request("GET", "/console/api/streams"),
    request("GET", f"{_HISTORY}&from=1&to=1800000000000"),
    request("HEAD", "/console/api/events"),
    request("GET", "/console/api/events", b"", "Last-Event-ID: 1800000000000"),
    request("POST", "/console/session", b'{"token": "a"}', "Cookie: millhand_session=a"),
    request("DELETE", "/console/session", b"", "Cookie: millhand_session=a"),
    request("GET", "/metrics/fleet"),
)
"""What browsers ask of the page."""
_PIECES: Final = (b"\r\n", b"\r\n\r\n", b"\0", b":", b" ", b"0\r\n\r\n", b"Content-Length: 3\r\n",
                  b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1", b"%", b"{", b"NaN")  # fmt: skip
_ANSWERS: Final = frozenset(
    {100, 200, 304, 400, 401, 403, 404, 405, 408, 413, 415, 421, 429, 431, 501, 505}
)
_ENDLESS: Final = b"content-type: text/event-stream"
_AT_ONCE: Final = 16
_MAX_FAULTS: Final = 10
_MAX_NOISE_BYTES: Final = 20_000


@dataclass
class Noise:
    """What noise has led to.

    Attributes:
        connections: connections that were made.
        faults: what must not have come back, with the bytes that it came back to.
    """

    connections: int = 0
    faults: list[str] = field(default_factory=list)


def make_noise(port: int, seed: int, seconds: float, requests: Sequence[bytes] = REQUESTS) -> Noise:
    """Send noise, and look at what comes back.

    Args:
        port: port of the server.
        seed: the noise of a seed is always the same, but for how much of it there is.
        seconds: how long.
        requests: what is damaged.
    """
    source, found = random.Random(seed), Noise()  # noqa: S311  it shall be repeatable
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s and len(found.faults) < _MAX_FAULTS:
        clients = [
            (socket.create_connection((HOST, port), timeout=10.0), one_noise(source, requests))
            for _ in range(_AT_ONCE)
        ]
        for client, noise in clients:
            _send(client, noise, source)
        for client, noise in clients:
            fault = _fault(_received(client))
            if fault:
                found.faults.append(f"{fault} to {noise!r}")
        found.connections += len(clients)
    return found


def one_noise(source: random.Random, requests: Sequence[bytes] = REQUESTS) -> bytes:
    """Bytes for one connection: nothing but chance, or requests with some damage."""
    if source.random() < 0.1:
        return source.randbytes(source.randrange(_MAX_NOISE_BYTES))
    content = bytearray(b"".join(source.choices(requests, k=source.randint(1, 4))))
    for _ in range(source.choice((0, 1, 1, 2, 5, 20))):
        at, length = source.randrange(len(content) + 1), source.randrange(30)
        match source.randrange(5):
            case 0:
                content[at : at + 1] = source.randbytes(1)
            case 1:
                del content[at : at + length]
            case 2:
                content[at:at] = content[at // 2 : at // 2 + length]
            case 3:
                content[at:at] = source.choice(_PIECES)
            case _:
                content[at:at] = source.randbytes(length)
    return bytes(content)


def _send(client: socket.socket, noise: bytes, source: random.Random) -> None:
    """Send noise in a few parts; the server may have enough of it before the end."""
    cuts = sorted(source.randrange(len(noise) + 1) for _ in range(source.randrange(4)))
    with suppress(OSError):
        for begin, end in zip([0, *cuts], [*cuts, len(noise)], strict=True):
            client.sendall(noise[begin:end])
        client.shutdown(socket.SHUT_WR)


def _received(client: socket.socket) -> bytes:
    content = b""
    with client, suppress(ConnectionError):
        while part := client.recv(1 << 16):
            content += part
            if _ENDLESS in content:  # nobody waits for the end of events
                break
    return content


def _fault(content: bytes) -> str:
    """What must not come back; empty where nothing did."""
    for reply in read(content).replies:
        if reply.status not in _ANSWERS or b"Traceback" in reply.body:
            return f"answer {reply.status} {reply.body!r}"
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make noise for a while, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.http.noise", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--page", action="store_true", help="ask what browsers ask of the page")
    chosen = parser.parse_args(arguments)
    requests = PAGE_REQUESTS if chosen.page else REQUESTS
    with tempfile.TemporaryDirectory(prefix="noise-") as name, ExitStack() as stack:
        server = stack.enter_context(_served(Path(name), stack, has_page=chosen.page))
        make_noise(server.port, chosen.seed, 5.0, requests)
        before = _resident_mib(server)
        found = make_noise(server.port, chosen.seed + 1, 60 * chosen.minutes, requests)
        after = _resident_mib(server)
        faults = [*found.faults, *(["a traceback in the log"] * ("Traceback" in server.log))]
    lines = (
        f"seed {chosen.seed}: {found.connections} connections, {len(faults)} faults",
        f"resident memory {before:.1f} MiB before, {after:.1f} MiB after",
        *faults,
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(faults))


def _served(folder: Path, stack: ExitStack, *, has_page: bool) -> ModelServer:
    """A server that has begun to answer, and the broker of its page where it has one."""
    if has_page:
        broker = stack.enter_context(mosquitto(folder / "broker"))
        return page_server(folder, broker.port).start_serving()
    published = Published.create(folder)
    published.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    return ModelServer(folder / "home", published, [{"stream": "mass"}]).start_serving()


def _resident_mib(server: ModelServer) -> float:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


if __name__ == "__main__":
    sys.exit(main())
