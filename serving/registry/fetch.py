"""Bytes from a registry by file://, http:// or https://: resumable, paced, and trusting nobody.

What arrives is worth nothing until a signature or a digest has vouched for it; here it is only kept
from hurting: every wait, every rate and every number of redirects has a limit. A fetch is never
repeated here; that, and the deadline of a whole pull, are the callers'.

urllib3, which tuf brings along anyway, rather than urllib.request: `read1` hands over what has
arrived, so that a dripping server is noticed, where urllib's reads wait for a full block.
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
_HEADERS: Final = {"User-Agent": "millhand-agent", "Accept-Encoding": "identity"}
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-")


@dataclass(frozen=True, slots=True)
class Pace:
    """How slow a server may be.

    Attributes:
        silence_s: longest wait for a connection, and for the next byte.
        lowest_rate: bytes a second that must arrive on average, in every `rate_window_s`.
        rate_window_s: how long a slow spell may last before it counts.
    """

    silence_s: float = 20.0
    lowest_rate: float = 1024.0
    rate_window_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Stream:
    """An open file of the registry.

    Attributes:
        offset: where `chunks` begin: as asked, or 0 where the server cannot resume.
        total: length of the whole file, None where the server does not say it.
        chunks: the bytes, as they arrive. Iterating raises what opening raises.
    """

    offset: int
    total: int | None
    chunks: Iterator[bytes]


class Fetcher:
    """Opens files of a registry; a context manager, since it keeps connections."""

    def __init__(self, pace: Pace | None = None) -> None:
        self._pace = Pace() if pace is None else pace
        silence = Timeout(connect=self._pace.silence_s, read=self._pace.silence_s)
        self._pool = PoolManager(num_pools=4, timeout=silence, retries=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    def read(self, url: str, max_bytes: int) -> bytes:
        """Fetch a small file whole.

        Raises:
            OversizedError: it is longer than `max_bytes`.
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
        """Open a file, from the byte `offset` on if that is possible.

        Raises:
            UnreachableError: no connection, a broken transfer, or a status from 500 on.
            TooSlowError: less than the lowest rate; only iterating raises it.
            NotServedError: a missing file, any other status, a scheme or redirect not allowed.
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
        """Send the request, and follow redirects."""
        target = url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._sent(target, offset, shown=_shown(url))
            location = response.get_redirect_location()
            if not location:
                return response
            response.close()
            target = _redirected(target, location)
        raise NotServedError(f"{_shown(url)} redirects more than {MAX_REDIRECTS} times")

    def _sent(self, url: str, offset: int, *, shown: str) -> BaseHTTPResponse:
        headers = {**_HEADERS, "Range": f"bytes={offset}-"} if offset else _HEADERS
        try:
            return self._pool.request(
                "GET", url, headers=headers, redirect=False, preload_content=False
            )
        except HTTPError as exc:
            raise UnreachableError(f"{shown}: {_reason(exc)}") from exc

    def _paced(self, response: BaseHTTPResponse, url: str) -> Iterator[bytes]:
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
                        f"{_shown(url)} arrives at {rate:.0f} bytes/s, "
                        f"lowest allowed {self._pace.lowest_rate:.0f}"
                    )
                begin, received = monotonic(), 0
        except HTTPError as exc:
            raise UnreachableError(f"{_shown(url)} broke off: {_reason(exc)}") from exc


@contextmanager
def _open_file(url: str, offset: int) -> Iterator[Stream]:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise NotServedError(f"{_shown(url)} names a host; file:///path names a folder")
    path = Path(url2pathname(parts.path))
    try:
        if not path.is_file():
            raise NotServedError(
                f"{path} is not there, or is no regular file", HTTPStatus.NOT_FOUND
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
    except OSError as exc:  # a stick was pulled, a share went away
        raise UnreachableError(f"{path} broke off: {exc.strerror}") from exc


def _resumes_at(response: BaseHTTPResponse, offset: int) -> bool:
    """Whether to go on with the answer; False where the range was refused, or another came."""
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
    """The kind and the cause: urllib3's text names its own objects by address."""
    cause = error.__cause__ or error.__context__ or error
    return f"{type(error).__name__} ({getattr(cause, 'strerror', None) or type(cause).__name__})"


def _redirected(url: str, location: str) -> str:
    """Where a redirect leads, unless that is out of HTTP or out of TLS."""
    try:
        target = urljoin(url, location)
    except ValueError as exc:
        raise NotServedError(f"{_shown(url)} redirects to what is no URL: {exc}") from exc
    left, scheme = _scheme(url), _scheme(target)
    if scheme not in ("http", "https") or (left, scheme) == ("https", "http"):
        raise NotServedError(f"{_shown(url)} redirects from {left} to {scheme}: refused")
    return target


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError as exc:
        raise NotServedError(f"{url[:200]!r} is no URL: {exc}") from exc


def _shown(url: str) -> str:
    """The URL without what may be secret in it: messages travel over the broker."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
