"""A client that sends bytes as they are, and reads every answer that comes back, one by one."""

import re
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self

from tests.kit.broker.brokers import HOST
from tests.kit.model_server import Reply

REPLY_S = 20.0
_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [\w -]+\r\n((?:[^\r\n]+\r\n)*)\r\n")


class Answers(NamedTuple):
    """What came back on a connection.

    Attributes:
        replies: the answers, in order; 100 Continue is one of them.
        rest: bytes behind the last answer that was whole.
    """

    replies: list[Reply]
    rest: bytes

    @property
    def statuses(self) -> list[int]:
        """The status of each answer."""
        return [one.status for one in self.replies]


class RawClient:
    """A connection to the server.

    Args:
        port: port of the server.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=REPLY_S)

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.socket.close()

    def send(self, content: bytes) -> Self:
        """Send bytes."""
        self.socket.sendall(content)
        return self

    def answers(self, wanted: int | None = None, *, heads: bool = False) -> Answers:
        """Read until so many answers are there; None: until the server closes the connection.

        Args:
            wanted: number of answers.
            heads: whether the answers have no body, being those to HEAD.
        """
        content, found = b"", Answers([], b"")
        while wanted is None or len(found.replies) < wanted:
            try:
                part = self.socket.recv(1 << 16)
            except ConnectionResetError:
                part = b""
            if not part:
                return read(content, heads=heads)
            content += part
            if wanted is not None:
                found = read(content, heads=heads)
        return found


def read(content: bytes, *, heads: bool = False) -> Answers:
    """Take answers apart. A body in chunks, which only the page's events have, counts as rest."""
    replies: list[Reply] = []
    while found := _HEAD.match(content):
        status, headers = int(found[1]), _headers(found[2])
        has_body = status >= 200 and not heads  # RFC 9110, 15.2
        length = int(headers.get("content-length", 0)) if has_body else 0
        body = content[found.end() : found.end() + length]
        if len(body) < length:
            break
        replies.append(Reply(status, headers, body))
        content = content[found.end() + length :]
    return Answers(replies, content)


def _headers(lines: bytes) -> Mapping[str, str]:
    pairs = (line.split(": ", 1) for line in lines.decode("latin-1").splitlines())
    return {name.lower(): value for name, value in pairs}


def request(method: str, path: str, body: bytes = b"", *lines: str) -> bytes:
    """The bytes of a request with a length.

    Args:
        method: method.
        path: path, percent-encoded.
        body: body.
        *lines: further header lines.
    """
    head = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def chunked(path: str, chunks: bytes, *lines: str) -> bytes:
    """The bytes of a request whose body comes in chunks.

    Args:
        path: path, percent-encoded.
        chunks: the body as it is sent, with the length of each chunk.
        *lines: further header lines.
    """
    head = [f"POST {path} HTTP/1.1", f"Host: {HOST}", "Transfer-Encoding: chunked", *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + chunks
