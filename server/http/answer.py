"""What a handler returns: status, headers and body."""

import gzip
import zlib
from typing import Any, Final, NamedTuple, Protocol, Self

import orjson

from server.http.refusals import Headers, RefusedError

JSON: Final = b"application/json"
NOT_MODIFIED: Final = 304
"""Status of an answer without a body: the client has it already (RFC 9110, 15.4.5)."""
_SMALLEST_COMPRESSED: Final = 200  # bytes; below, compression only costs time


class Parts(Protocol):
    """A body that has no end yet, such as a stream of events."""

    def __aiter__(self) -> Self:
        """Return the parts."""

    async def __anext__(self) -> bytes:
        """Wait for the next part; StopAsyncIteration ends the body."""

    async def aclose(self) -> None:
        """Be told that no more parts are asked for: the body has ended, or the client is gone."""


class Answer(NamedTuple):
    """An answer.

    Attributes:
        status: HTTP status.
        body: body, not compressed.
        content_type: media type of the body.
        headers: further headers.
        parts: the body where it is sent part by part; `body` is then empty.
    """

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()
    parts: Parts | None = None


def json(document: Any, status: int = 200) -> Answer:  # noqa: ANN401  any JSON value
    """An answer in JSON."""
    return Answer(status, orjson.dumps(document))


def refusal(error: RefusedError) -> Answer:
    """The answer to a request that is refused."""
    document = error.document or {"error": str(error)}
    return Answer(error.status, orjson.dumps(document), JSON, error.headers)


def compressed(answer: Answer, accepted: bytes) -> Answer:
    """The answer in the first coding that the client accepts and this server has; else as it is.

    Args:
        answer: an answer that is not compressed.
        accepted: value of the header Accept-Encoding (RFC 9110, 12.5.3); weights other than zero
            count alike.
    """
    if len(answer.body) < _SMALLEST_COMPRESSED:
        return answer
    for choice in accepted.lower().split(b","):
        coding, _, weight = choice.partition(b";")
        coding = coding.strip()
        if weight.replace(b" ", b"") in {b"q=0", b"q=0.0"} or coding not in {b"gzip", b"deflate"}:
            continue
        body = answer.body
        # mtime 0: the same answer is the same bytes.
        packed = gzip.compress(body, 1, mtime=0) if coding == b"gzip" else zlib.compress(body, 1)
        headers = (*answer.headers, (b"content-encoding", coding), (b"vary", b"accept-encoding"))
        return answer._replace(body=packed, headers=headers)
    return answer
