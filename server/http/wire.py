"""Answers as bytes of HTTP/1.1 (RFC 9112)."""

from collections.abc import AsyncIterator
from functools import cache
from http import HTTPStatus
from typing import Final

import orjson

from server.http.answer import NOT_MODIFIED, Answer, Parts
from server.http.faults import Fault

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE: Final = b"connection: close\r\n"


def head_of(
    answer: Answer, date: bytes, *, keeps_alive: bool = False, is_framed: bool = True
) -> bytes:
    """The head of an answer.

    Args:
        answer: the answer.
        date: the header Date with its line end.
        keeps_alive: whether the client may send another request on the connection.
        is_framed: whether the client can read a body that is sent in framed parts; else the end of
            the connection is the end of the body.
    """
    parts = [_begin(answer.status, answer.content_type), date]
    if answer.parts is not None:
        if is_framed:
            parts.append(b"transfer-encoding: chunked\r\n")
    elif answer.status != NOT_MODIFIED:
        # Without a body there, its length would be that of the body which is left out.
        parts.append(b"content-length: %d\r\n" % len(answer.body))
    for name, value in answer.headers:
        parts.append(b"%b: %b\r\n" % (name, value))
    if not keeps_alive:
        parts.append(_CLOSE)
    parts.append(b"\r\n")
    return b"".join(parts)


async def framed(parts: Parts, *, is_framed: bool) -> AsyncIterator[bytes]:
    """A body part by part, each in its frame where the client can read that (RFC 9112, 7.1)."""
    async for part in parts:
        yield b"%x\r\n%b\r\n" % (len(part), part) if is_framed else part
    if is_framed:
        yield b"0\r\n\r\n"


def refusal_of(fault: Fault, date: bytes) -> bytes:
    """The whole answer to what is no request, behind which the connection ends."""
    answer = Answer(fault.status, orjson.dumps({"error": fault.message}))
    return head_of(answer, date) + answer.body


@cache
def _begin(status: int, content_type: bytes) -> bytes:
    """The status line, and the header that most answers share; there are few of both."""
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return line + b"content-type: %b\r\n" % content_type
