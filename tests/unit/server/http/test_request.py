"""A body is taken within its limits, however it arrives, and inflated to no more than them."""

import asyncio
import gzip
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from server.http.refusals import (
    EncodingError,
    RefusedError,
    SlowClientError,
    TooLargeError,
)
from server.http.request import ClientGoneError, Request

MOST = 1000
BODY = b"0123456789" * 20
GONE: Mapping[str, Any] = {"type": "http.disconnect"}


def part(content: bytes, *, is_last: bool = True) -> Mapping[str, Any]:
    return {"type": "http.request", "body": content, "more_body": not is_last}


def body(parts: Sequence[Mapping[str, Any]], client_s: float = 10.0, **headers: str) -> bytes:
    """What a request gets whose client sends these parts, and nothing after them."""

    async def read() -> bytes:
        left = list(parts)

        async def receive() -> Mapping[str, Any]:
            if not left:
                await asyncio.Event().wait()
            return left.pop(0)

        named = [(name.replace("_", "-").encode(), one.encode()) for name, one in headers.items()]
        return await Request("POST", named, receive).body(MOST, client_s)

    return asyncio.run(read())


def test_parts_are_put_together() -> None:
    assert body([part(b"ab", is_last=False), part(b"", is_last=False), part(b"c")]) == b"abc"
    assert body([part(b"")]) == b""


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(BODY)),
        ("GZIP ", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("identity", BODY),
        ("", BODY),
    ],
)
def test_body_is_inflated_by_its_coding(coding: str, packed: bytes) -> None:
    half = len(packed) // 2
    parts = [part(packed[:half], is_last=False), part(packed[half:])]
    assert body(parts, content_encoding=coding) == BODY


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "zstd", "\x7f" * 100])
def test_coding_that_is_not_known_is_refused(coding: str) -> None:
    with pytest.raises(EncodingError, match="allowed are gzip and deflate"):
        body([part(BODY)], content_encoding=coding)


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_body_is_inflated_to_the_limit_and_no_further(
    coding: str, pack: Callable[[bytes], bytes]
) -> None:
    assert body([part(pack(b"x" * MOST))], content_encoding=coding) == b"x" * MOST
    for length in (MOST + 1, 300_000):
        with pytest.raises(TooLargeError, match="inflated body has more than 1000"):
            body([part(pack(b"x" * length))], content_encoding=coding)


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (gzip.compress(BODY)[:-1], "is cut off"),
        (gzip.compress(BODY)[:5], "is cut off"),
        (b"", "is cut off"),
        (gzip.compress(BODY) + b"x", "has something behind its end"),
        (b"x" * 30, "cannot be inflated"),
        (zlib.compress(BODY), "cannot be inflated"),
        (gzip.compress(BODY)[:-8] + bytes(8), "cannot be inflated"),
    ],
)
def test_body_that_is_not_what_its_coding_says_is_refused(packed: bytes, said: str) -> None:
    with pytest.raises(RefusedError, match=said) as caught:
        body([part(packed)], content_encoding="gzip")
    assert caught.value.status == 400


def test_body_that_announces_too_much_is_not_awaited() -> None:
    with pytest.raises(TooLargeError, match="1001 bytes or more"):
        body([], content_length="1001")


def test_body_of_unknown_length_is_read_to_the_limit_and_no_further() -> None:
    parts = [part(b"x" * 600, is_last=False), part(b"x" * 401, is_last=False)]
    with pytest.raises(TooLargeError, match="1001 bytes or more; allowed are 1000"):
        body(parts)
    assert len(body([part(b"x" * 600, is_last=False), part(b"x" * 400)])) == MOST


def test_client_that_stops_sending_is_refused_with_how_far_it_came() -> None:
    with pytest.raises(SlowClientError, match="3 bytes came"):
        body([part(b"abc", is_last=False)], client_s=0.05)


def test_client_that_is_gone_gets_nothing() -> None:
    with pytest.raises(ClientGoneError, match="gone after 3 bytes"):
        body([part(b"abc", is_last=False), GONE])


def test_header_is_found_by_its_name() -> None:
    async def receive() -> Mapping[str, Any]:
        return GONE

    request = Request("GET", [(b"a", b"1"), (b"a", b"2")], receive)
    assert (request.header(b"a"), request.header(b"b")) == (b"1", b"")
