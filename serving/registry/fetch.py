"""Reads files of a registry by file://, http:// or https://, resumable and with limits.

What arrives is not trusted: callers verify signatures and digests. Here a hostile or broken server
is kept from doing harm, by a limit of each wait, of the lowest rate and of redirects. A request is
never repeated here; callers decide on that, and on the deadline of the whole pull.

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
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import HTTPError

from serving.registry.refusals import NotServedError, OversizedError, TooSlowError, UnreachableError

CHUNK_BYTES: Final = 64 << 10
MAX_REDIRECTS: Final = 3
# Without compression, so that lengths and ranges are those of the file itself.
_HEADERS: Final = {"User-Agent": "millhand-agent", "Accept-Encoding": "identity"}
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-")


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
        total: bytes of the whole file; None if the server does not send its length.
        chunks: bytes of the file as they arrive. Iterating raises the errors of `Fetcher.open`.
    """

    offset: int
    total: int | None
    chunks: Iterator[bytes]


class Fetcher:
    """Opens files of a registry. Every call blocks; leaving the context closes the connections.

    Args:
        pace: how slow the server may be; None for the defaults of `Pace`.
    """

    def __init__(self, pace: Pace | None = None) -> None:
        self._pace = Pace() if pace is None else pace
        silence = Timeout(connect=self._pace.silence_s, read=self._pace.silence_s)
        self._pool = PoolManager(num_pools=4, timeout=silence, retries=False)  # callers decide

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    def read(self, url: str, max_bytes: int) -> bytes:
        """Read a whole file into memory.

        Args:
            url: address of the file.
            max_bytes: longest file that is accepted.

        Raises:
            OversizedError: the file is longer than `max_bytes`.
            UnreachableError, TooSlowError, NotServedError: see `open`.
        """
        content = bytearray()
        with self.open(url) as stream:
            for chunk in stream.chunks:
                content += chunk
                if len(content) > max_bytes:
                    raise OversizedError(f"{_shown(url)} is longer than {max_bytes} bytes")
        return bytes(content)

    @contextmanager
    def open(self, url: str, offset: int = 0) -> Iterator[Stream]:
        """Open a file, from the byte `offset` on if the server can do that (RFC 9110, 14.2).

        Raises:
            UnreachableError: there is no connection, it broke off, or the HTTP status is 500 or
                more. Trying again may help.
            TooSlowError: bytes arrive below the lowest rate; only iterating raises it.
            NotServedError: the file does not exist, the HTTP status is any other error, or the
                scheme or a redirect is not allowed. Trying again at once is useless.
        """
        scheme = _scheme(url)
        if scheme == "file":
            with _open_file(url, offset) as stream:
                yield stream
        elif scheme in ("http", "https"):
            with self._open_http(url, offset) as stream:
                yield stream
        else:
            raise NotServedError(f"{_shown(url)}: allowed are file://, http:// and https://")

    @contextmanager
    def _open_http(self, url: str, offset: int) -> Iterator[Stream]:
        response = self._followed(url, offset)
        try:
            if offset and not _resumes_at(response, offset):
                response.close()
                offset, response = 0, self._followed(url, 0)
            _check_status(response, url)
            begin = offset if response.status == HTTPStatus.PARTIAL_CONTENT else 0
            rest = response.length_remaining
            total = None if rest is None else begin + rest
            yield Stream(begin, total, self._paced(response, url))
        finally:
            response.close()

    def _followed(self, url: str, offset: int) -> BaseHTTPResponse:
        """Send the request, and follow redirects as far as they are allowed."""
        target = url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._sent(target, offset, shown=_shown(url))
            location = response.get_redirect_location()
            if not location:
                return response
            response.close()
            target = _redirected(target, location)
        raise NotServedError(
            f"{_shown(url)} redirects more often than the {MAX_REDIRECTS} times that are allowed"
        )

    def _sent(self, url: str, offset: int, *, shown: str) -> BaseHTTPResponse:
        headers = {**_HEADERS, "Range": f"bytes={offset}-"} if offset else _HEADERS
        try:
            return self._pool.request(
                "GET", url, headers=headers, redirect=False, preload_content=False
            )
        except HTTPError as exc:
            raise UnreachableError(f"{shown}: {_reason(exc)}") from exc

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
                        f"{_shown(url)} arrives at {rate:.0f} bytes/s; at least "
                        f"{self._pace.lowest_rate:.0f} are required"
                    )
                begin, received = monotonic(), 0
        except HTTPError as exc:
            raise UnreachableError(f"{_shown(url)} broke off: {_reason(exc)}") from exc


@contextmanager
def _open_file(url: str, offset: int) -> Iterator[Stream]:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise NotServedError(
            f"{_shown(url)} names a host, where a local folder is written file:///path"
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


def _check_status(response: BaseHTTPResponse, url: str) -> None:
    status = response.status
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise UnreachableError(f"{_shown(url)}: HTTP status {status}")
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise NotServedError(f"{_shown(url)}: HTTP status {status}", status)


def _reason(error: HTTPError) -> str:
    """Class and cause of an error; urllib3's own text has addresses of its objects in it."""
    cause = error.__cause__ or error.__context__ or error
    return f"{type(error).__name__} ({getattr(cause, 'strerror', None) or type(cause).__name__})"


def _redirected(url: str, location: str) -> str:
    """The address that a redirect leads to; leaving HTTP or TLS is refused."""
    try:
        target = urljoin(url, location)
    except ValueError as exc:
        raise NotServedError(f"{_shown(url)} redirects to something not a URL: {exc}") from exc
    left, scheme = _scheme(url), _scheme(target)
    if scheme not in ("http", "https") or (left, scheme) == ("https", "http"):
        raise NotServedError(
            f"{_shown(url)} redirects from {left} to {scheme}, which is not allowed"
        )
    return target


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError as exc:
        raise NotServedError(f"{url[:200]!r} is not a URL: {exc}") from exc


def _shown(url: str) -> str:
    """The URL without user, password and query, since error texts are published on `feedback`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
