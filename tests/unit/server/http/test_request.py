"""A body is taken within its limits, however it arrives, and inflated to no more than them."""

import gzip
import zlib
from collections.abc import Callable, Sequence

import pytest

from server.http.refusals import EncodingError, RefusedError, TooLargeError
from server.http.request import Link, Request

MOST = 1000
BODY = b"0123456789" * 20
LINK = Link("127.0.0.1", "http", has_certificate=False)


def body(parts: Sequence[bytes], **headers: str) -> bytes:
    """What a handler gets of a request whose body has arrived in these parts."""
    named = [(name.replace("_", "-").encode(), one.encode()) for name, one in headers.items()]
    request = Request("POST", b"/", named, LINK)
    request.parts += parts
    return request.body(MOST)


def test_parts_are_put_together() -> None:
    assert body([b"ab", b"", b"c"]) == b"abc"
    assert body([b""]) == b""


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(BODY)),
        ("GZIP ", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("gzip", gzip.compress(BODY[:5]) + gzip.compress(BODY[5:])),
        ("deflate", zlib.compress(BODY)),
        ("identity", BODY),
        ("", BODY),
    ],
    ids=["gzip", "gzip in capitals", "x-gzip", "two members", "deflate", "identity", "none"],
)
def test_body_is_inflated_by_its_coding(coding: str, packed: bytes) -> None:
    half = len(packed) // 2
    parts = [packed[:half], packed[half:]]
    assert body(parts, content_encoding=coding) == BODY


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "zstd", "?" * 100])
def test_coding_that_is_not_known_is_refused(coding: str) -> None:
    with pytest.raises(EncodingError, match="allowed are gzip and deflate"):
        body([BODY], content_encoding=coding)


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_body_is_inflated_to_the_limit_and_no_further(
    coding: str, pack: Callable[[bytes], bytes]
) -> None:
    assert body([pack(b"x" * MOST)], content_encoding=coding) == b"x" * MOST
    for length in (MOST + 1, 300_000):
        with pytest.raises(TooLargeError, match="inflated body has more than 1000"):
            body([pack(b"x" * length)], content_encoding=coding)


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
    ids=[
        "last byte is missing",
        "header is cut off",
        "nothing",
        "one byte more",
        "not compressed",
        "deflate instead of gzip",
        "wrong checksum",
    ],
)
def test_body_that_is_not_what_its_coding_says_is_refused(packed: bytes, said: str) -> None:
    with pytest.raises(RefusedError, match=said) as caught:
        body([packed], content_encoding="gzip")
    assert caught.value.status == 400


def test_body_is_taken_to_the_limit_and_no_further() -> None:
    assert len(body([b"x" * 600, b"x" * 400])) == MOST
    with pytest.raises(TooLargeError, match="1001 bytes; allowed are 1000"):
        body([b"x" * 600, b"x" * 401])


def test_header_is_found_by_its_name() -> None:
    request = Request("GET", b"/", [(b"a", b"1"), (b"a", b"2")], LINK)
    assert (request.header(b"a"), request.header(b"b")) == (b"1", b"")


def test_target_is_taken_apart() -> None:
    request = Request("GET", b"/v2/models?stream=a%20b&version=", [], LINK)
    assert request.path == b"/v2/models"
    assert request.query("stream", "version") == {"stream": "a b", "version": ""}
    with pytest.raises(RefusedError, match="allowed is stream"):
        request.query("stream")
