"""A web server that serves a registry, with faults if a test wants them."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import SSLContext, SSLSocket
from threading import Event, Thread
from typing import Any


@dataclass
class Fault:
    """The fault of the server for one file.

    Attributes:
        status: status code that is answered instead of the file; 0: none.
        location: address that is redirected to; empty: none.
        cut_after: bytes of each answer after which the connection is closed; -1: never.
        stall_after: bytes of each answer after which no more is sent; -1: never.
        ranges: what is done with a Range header: "honoured", "ignored", "refused" (status 416),
            "wrong" (another range is sent, and said), "lying" (another range is sent, but not
            said), "sliced" (status 200 with the range), "shrunk" (the range is said to be of a
            file half as long) or "unsaid" (no Content-Range).
        at_most: bytes of a range that are sent at most; 0: all.
        page: content that is answered instead of the file, with status 200.
        drip_s: pause after each byte, seconds.
        endless: whether the answer never ends.
    """

    status: int = 0
    location: str = ""
    cut_after: int = -1
    stall_after: int = -1
    ranges: str = "honoured"
    drip_s: float = 0.0
    endless: bool = False
    at_most: int = 0
    page: bytes = b""


@dataclass
class Mirror:
    """A web server for a folder.

    Attributes:
        url: address of the folder.
        folder: folder that is served.
        faults: fault of each file, by the last part of its path.
        requests: path, Range header and number of bytes sent of each request, in order.
        login: header Authorization without which nothing is answered but status 401; empty: none.
        logins: header Authorization of each request, in order; empty where there was none.
        stopping: event that ends answers which wait.
    """

    url: str
    folder: Path
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    login: str = ""
    logins: list[str] = field(default_factory=list)
    stopping: Event = field(default_factory=Event)

    def sent_of(self, name: str) -> int:
        return sum(sent for path, _, sent in self.requests if path.endswith(name))


@contextmanager
def mirror(folder: Path, tls: SSLContext | None = None) -> Iterator[Mirror]:
    """Serve a folder on a free port of the loopback until the context is left."""

    class Handler(_Handler):
        pass

    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    if tls is not None:
        # The handshake is made by the thread of each connection, not by the one that accepts.
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    scheme = "http" if tls is None else "https"
    served = Handler.served = Mirror(f"{scheme}://127.0.0.1:{server.server_port}", folder)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        served.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  as in socketserver
        """Make the TLS handshake; a client that it refuses can still read why."""
        if isinstance(request, SSLSocket):
            try:
                request.do_handshake()
            except OSError:
                _hear_out(request)
                return
        super().finish_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that goes away."""


def _hear_out(connection: socket.socket) -> None:
    """Take what the client still sends, so that the system does not reset the connection."""
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as plain:
        plain.settimeout(5)
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(4096):
            pass


class _Handler(BaseHTTPRequestHandler):
    served: Mirror
    timeout = 5

    def do_GET(self) -> None:
        fault = self.served.faults.get(self.path.rpartition("/")[2], Fault())
        path = self.served.folder / self.path.partition("?")[0].lstrip("/")
        login = self.headers.get("Authorization", "")
        self.served.logins.append(login)
        if login != self.served.login and self.served.login:
            self.send_response(HTTPStatus.UNAUTHORIZED)
            self.send_header("WWW-Authenticate", f'{self.served.login.split()[0]} realm="models"')
            self.end_headers()
        elif fault.page:
            self._send(fault.page, Fault(ranges="ignored"))
        elif fault.location:
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", fault.location)
            self.end_headers()
        elif fault.status or not path.is_file():
            self.send_error(fault.status or HTTPStatus.NOT_FOUND)
        else:
            self._send(path.read_bytes(), fault)

    def _send(self, content: bytes, fault: Fault) -> None:
        asked = self.headers.get("Range", "")
        begin = int(asked.removeprefix("bytes=").rstrip("-") or 0)
        if begin and (fault.ranges == "refused" or begin >= len(content)):
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return
        if fault.ranges == "ignored":
            begin = 0
        if fault.ranges == "wrong" and begin:
            begin += 1
        is_range = begin and fault.ranges != "sliced"
        self.send_response(HTTPStatus.PARTIAL_CONTENT if is_range else HTTPStatus.OK)
        end = min(len(content), begin + fault.at_most) if fault.at_most else len(content)
        if is_range and fault.ranges != "unsaid":
            total = len(content) // 2 if fault.ranges == "shrunk" else len(content)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{total}")
        if fault.ranges == "lying" and begin:
            content = content[1:] + content[:1]
        content = content[:end]
        if not fault.endless:
            self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        sent = 0
        with suppress(OSError):  # the client may close the connection
            for chunk in _chunks(content[begin:], fault, self.served.stopping):
                self.wfile.write(chunk)
                sent += len(chunk)
        self.served.requests.append((self.path, asked, sent))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as in http.server
        """Log nothing."""


def _chunks(content: bytes, fault: Fault, stopping: Event) -> Iterator[bytes]:
    if fault.cut_after >= 0:
        yield content[: fault.cut_after]
    elif fault.stall_after >= 0:
        yield content[: fault.stall_after]
        stopping.wait()
    elif fault.drip_s:
        for byte in content:
            yield bytes([byte])
            if stopping.wait(fault.drip_s):
                return
    else:
        yield content
        while fault.endless and not stopping.is_set():
            yield bytes(65_536)
