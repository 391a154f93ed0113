"""A static store on loopback, which counts what it sends."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple


class Traffic(NamedTuple):
    """What went over the network.

    Attributes:
        requests: requests that the store has answered.
        bytes: bytes of the bodies that it has sent.
    """

    requests: int = 0
    bytes: int = 0

    def __add__(self, other: object) -> "Traffic":
        """Both together."""
        assert isinstance(other, Traffic)  # noqa: S101  a caller's mistake
        return Traffic(self.requests + other.requests, self.bytes + other.bytes)


class Store(ThreadingHTTPServer):
    """A static store.

    Args:
        folder: the folder that it serves.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder: Path) -> None:
        self._sent, self._lock = Traffic(), threading.Lock()
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, traffic: Traffic) -> None:
        """Add what was sent; from any thread."""
        with self._lock:
            self._sent += traffic

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  as the base
        """Print nothing of a client that was killed, or has given up waiting."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def count(self) -> Traffic:
        """What was sent since the last call."""
        with self._lock:
            sent, self._sent = self._sent, Traffic()
        return sent


class _Handler(SimpleHTTPRequestHandler):
    server: Store

    def copyfile(self, source: Any, outputfile: Any) -> None:  # noqa: ANN401  as the base
        """Send a file, and count its bytes."""
        content = source.read()
        outputfile.write(content)
        self.server.add(Traffic(0, len(content)))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Count a request instead of printing it."""
        del code, size
        self.server.add(Traffic(1, 0))

    def log_message(self, *args: object) -> None:
        """Print nothing."""


@contextmanager
def served(folder: Path) -> Iterator[Store]:
    """Serve a folder until the context is left."""
    store = Store(folder)
    thread = threading.Thread(target=store.serve_forever)
    thread.start()
    try:
        yield store
    finally:
        store.shutdown()
        thread.join()
        store.server_close()
