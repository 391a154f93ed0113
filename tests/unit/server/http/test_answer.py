"""Answers are compressed as the client asks, and refusals are always one sentence in JSON."""

import gzip
import json
import zlib

import pytest

from server.http.answer import Answer, compressed, refusal
from server.http.refusals import (
    MethodError,
    NotFoundError,
    OverloadError,
    RefusedError,
    TooLargeError,
    UnavailableError,
)

LONG = Answer(200, b"0123456789" * 100, headers=((b"x", b"y"),))


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (b"gzip", b"gzip"),
        (b"deflate", b"deflate"),
        (b"GZIP", b"gzip"),
        (b"br, deflate;q=0.5, gzip", b"deflate"),
        (b"gzip;q=0, deflate", b"deflate"),
        (b"gzip; q=0.000, deflate", b"deflate"),
        (b"gzip;q=0.001", b"gzip"),
        (b" gzip ;q=1", b"gzip"),
    ],
)
def test_first_coding_that_is_accepted_is_used(accepted: bytes, coding: bytes) -> None:
    found = compressed(LONG, accepted)
    assert (b"content-encoding", coding) in found.headers
    assert (b"vary", b"accept-encoding") in found.headers
    assert (b"x", b"y") in found.headers
    unpack = gzip.decompress if coding == b"gzip" else zlib.decompress
    assert unpack(found.body) == LONG.body
    assert len(found.body) < len(LONG.body)


@pytest.mark.parametrize(
    "accepted", [b"", b"br", b"identity", b"gzip;q=0", b"deflate ; q=0.0", b",;"]
)
def test_answer_stays_as_it_is_where_no_coding_is_accepted(accepted: bytes) -> None:
    assert compressed(LONG, accepted) == LONG


def test_short_answer_is_not_compressed() -> None:
    short = Answer(200, b"x" * 100)
    assert compressed(short, b"gzip") == short


def test_same_answer_is_compressed_to_the_same_bytes() -> None:
    assert compressed(LONG, b"gzip") == compressed(LONG, b"gzip")


@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        (RefusedError("x"), 400, None),
        (NotFoundError("x"), 404, None),
        (MethodError("x", ["POST"]), 405, (b"allow", b"POST")),
        (MethodError("x", ["POST", "GET"]), 405, (b"allow", b"GET, POST")),
        (TooLargeError("x"), 413, None),
        (OverloadError("x"), 429, (b"retry-after", b"1")),
        (UnavailableError("x"), 503, (b"retry-after", b"5")),
    ],
)
def test_refusal_has_its_status_and_header(
    error: RefusedError, status: int, header: tuple[bytes, bytes] | None
) -> None:
    found = refusal(error)
    assert found.status == status
    assert json.loads(found.body) == {"error": "x"}
    assert list(found.headers) == ([] if header is None else [header])


def test_refusal_repeats_text_that_is_no_unicode_without_failing() -> None:
    found = refusal(RefusedError("the input is named '\ud800'"))
    assert json.loads(found.body) == {"error": r"the input is named '\ud800'"}
