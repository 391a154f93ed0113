"""Reads files of a registry by file://, http:// or https://, resumable and with limits.

What arrives is not trusted: callers verify signatures and digests. Here a hostile or broken server
is kept from doing harm, by a limit of each wait and of the lowest rate, and by the rules of
`serving.registry.redirects`. A request is never repeated here; callers decide on that, and on the
deadline of the whole pull. Token, password and client certificate are sent to the origin of the URL
that was asked for, and to no other. Proxies of the environment are not used.

urllib3 is used, which tuf needs anyway, and not urllib.request: `read1` returns what has arrived,
so that a server that sends a byte now and then is noticed (the slow retrieval attack of the TUF
specification, 1.5.2). urllib.request waits until a whole block is there.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from io import BufferedReader
from pathlib import Path
from time import monotonic
from typing import Final, Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import HTTPError

from models.address import shortened
from serving.registry.access import OPEN, Access
from serving.registry.answers import broken_by, refused_by
from serving.registry.credentials import Credentials
from serving.registry.origin import origin_of
from serving.registry.redirects import MAX_REDIRECTS, Redirects, too_many
from serving.registry.refusals import (
    NotServedError,
    TooSlowError,
    UnexpectedAnswerError,
    UnreachableError,
)

CHUNK_BYTES: Final = 64 << 10
# Without compression, so that lengths and ranges are those of the file itself.
_HEADERS: Final = {"User-Agent": "millhand-agent", "Accept-Encoding": "identity"}
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


@dataclass(frozen=True, slots=True)
class Pace:
    """How slow a server may be.

    Attributes:
        silence_s: seconds that may pass until a connection is there, and until the next byte.
        lowest_rate: bytes a second that must arrive on average over `rate_window_s`.
        rate_window_s: seconds over which the rate is measured, so that short pauses are allowed.
    """

    silence_s: float = 20.0
    lowest_rate: float = 1024.0
    rate_window_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Stream:
    """An open file of the registry.

    Attributes:
        offset: index of the first byte in `chunks`: that asked for, or 0 if the server cannot
            resume.
        total: bytes of the whole file, as the server says; None if it does not.
        chunks: bytes of the file as they arrive, not always up to its end. Iterating raises the
            errors of `Fetcher.open`.
    """

    offset: int
    total: int | None
    chunks: Iterator[bytes]


class Fetcher:
    """Opens files of a registry. Every call blocks; leaving the context closes the connections.

    Args:
        pace: how slow the server may be; None for the defaults of `Pace`.
        access: what identifies this gateway, and where redirects may lead.
    """

    def __init__(self, pace: Pace | None = None, access: Access = OPEN) -> None:
        self._pace = Pace() if pace is None else pace
        self._access = access
        self._credentials = Credentials(access)
        self._redirects = Redirects(access.allowed_origins)
        self._pools: dict[tuple[bool, bool], PoolManager] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._pools.values():
            pool.clear()

    def read(self, url: str, max_bytes: int) -> bytes:
        """Read a file into memory, and no more than `max_bytes` of it.

        Args:
            url: address of the file.
            max_bytes: bytes after which reading ends.

        Raises:
            TransientError: see `open`.
        """
        content = bytearray()
        with self.open(url) as stream:
            for chunk in stream.chunks:
                content += chunk
                if len(content) >= max_bytes:
                    break
        return bytes(content[:max_bytes])

    @contextmanager
    def open(self, url: str, offset: int = 0) -> Iterator[Stream]:
        """Open a file, from the byte `offset` on if the server can do that (RFC 9110, 14.2).

        Raises:
            UnreachableError: there is no connection, it broke off, or the HTTP status is 500 or
                more. Trying again may help.
            TooSlowError: bytes arrive below the lowest rate; only iterating raises it.
            NotServedError: the file does not exist, the HTTP status is any other error, or the
                scheme is not allowed. Trying again at once is useless.
            AccessDeniedError: the HTTP status is 401 or 403.
            RedirectedError: see `serving.registry.redirects`.
            UnexpectedAnswerError: another part of the file was sent than was asked for.
            CredentialsError: see `serving.registry.credentials`.
        """
        scheme = _scheme(url)
        if scheme == "file":
            with _open_file(url, offset) as stream:
                yield stream
        elif scheme in ("http", "https"):
            with self._open_http(url, offset) as stream:
                yield stream
        else:
            raise NotServedError(f"{shortened(url)}: allowed are file://, http:// and https://")

    @contextmanager
    def _open_http(self, url: str, offset: int) -> Iterator[Stream]:
        response = self._followed(url, offset)
        try:
            if offset and not _resumes_at(response, offset):
                response.close()
                offset, response = 0, self._followed(url, 0)
            if response.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                challenge = response.headers.get("WWW-Authenticate", "")
                raise refused_by(response.status, shortened(url), self._access, challenge)
            begin, total = _extent(response, offset, url)
            yield Stream(begin, total, self._paced(response, url))
        finally:
            response.close()

    def _followed(self, url: str, offset: int) -> BaseHTTPResponse:
        """Send the request, and follow redirects as far as they are allowed."""
        target = url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._sent(target, offset, asked=url)
            location = response.get_redirect_location()
            if not location:
                return response
            response.close()
            target = self._redirects.target(url, target, location)
        raise too_many(url)

    def _sent(self, url: str, offset: int, *, asked: str) -> BaseHTTPResponse:
        try:
            origin = origin_of(url)
            is_own = origin == origin_of(asked)
        except ValueError as exc:
            raise NotServedError(f"{shortened(url)}: {exc}") from exc
        headers = _HEADERS | (self._credentials.headers() if is_own else {})
        if offset:
            headers["Range"] = f"bytes={offset}-"
        pool = self._pool(is_own=is_own, is_encrypted=origin.is_encrypted)
        try:
            return pool.request("GET", url, headers=headers, redirect=False, preload_content=False)
        except HTTPError as exc:
            reason = broken_by(exc, self._access, is_own=is_own)
            raise UnreachableError(f"{shortened(asked)}: {reason}") from exc

    def _pool(self, *, is_own: bool, is_encrypted: bool) -> PoolManager:
        """The connections to the registry itself, or those to other servers, made at first use."""
        key = (is_own, is_encrypted)
        if key not in self._pools:
            context = self._credentials.context(is_own=is_own) if is_encrypted else None
            silence = Timeout(connect=self._pace.silence_s, read=self._pace.silence_s)
            self._pools[key] = PoolManager(
                num_pools=4, timeout=silence, retries=False, ssl_context=context
            )
        return self._pools[key]

    def _paced(self, response: BaseHTTPResponse, url: str) -> Iterator[bytes]:
        """The content as it arrives, as long as it arrives at the lowest rate or faster."""
        begin, received = monotonic(), 0
        try:
            while chunk := response.read1(CHUNK_BYTES, decode_content=False):
                yield chunk
                received += len(chunk)
                elapsed_s = monotonic() - begin
                if elapsed_s < self._pace.rate_window_s:
                    continue
                if received < self._pace.lowest_rate * elapsed_s:
                    rate = received / elapsed_s
                    raise TooSlowError(
                        f"{shortened(url)} arrives at {rate:.0f} bytes/s; at least "
                        f"{self._pace.lowest_rate:.0f} are required"
                    )
                begin, received = monotonic(), 0
        except HTTPError as exc:
            reason = broken_by(exc, self._access)
            raise UnreachableError(f"{shortened(url)} broke off: {reason}") from exc


@contextmanager
def _open_file(url: str, offset: int) -> Iterator[Stream]:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise NotServedError(
            f"{shortened(url)} names a host, where a local folder is written file:///path"
        )
    path = Path(url2pathname(parts.path))
    try:
        if not path.is_file():
            raise NotServedError(
                f"{path} does not exist, or is not a regular file", HTTPStatus.NOT_FOUND
            )
        size = path.stat().st_size
        file = path.open("rb")
    except PermissionError as exc:
        raise NotServedError(f"{path} may not be read by this user") from exc
    except OSError as exc:
        raise UnreachableError(f"{path} cannot be read: {exc.strerror}") from exc
    with file:
        begin = offset if offset <= size else 0
        file.seek(begin)
        yield Stream(begin, size, _chunks(file, path))


def _chunks(file: BufferedReader, path: Path) -> Iterator[bytes]:
    try:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
    except OSError as exc:  # as when a USB stick is pulled or a network share goes away
        raise UnreachableError(f"{path} broke off: {exc.strerror}") from exc


def _resumes_at(response: BaseHTTPResponse, offset: int) -> bool:
    """Whether the answer can be used; False if the range is refused, or another one was sent.

    A server without ranges sends the whole file with status 200, which can be used as well.
    """
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return response.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    return match is not None and int(match[1]) == offset


def _extent(response: BaseHTTPResponse, offset: int, url: str) -> tuple[int, int | None]:
    """Index of the first byte that is sent, and bytes of the whole file, None if unknown.

    A server may send less than the range that was asked for (RFC 9110, 15.3.7).
    """
    rest = response.length_remaining
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return 0, rest
    match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != offset:
        raise UnexpectedAnswerError(
            f"{shortened(url)}: another part of the file was sent than from byte {offset} on"
        )
    if match[3] == "*":
        return offset, None
    return offset, int(match[3])


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError as exc:
        raise NotServedError(f"{shortened(url)} is not a URL") from exc
