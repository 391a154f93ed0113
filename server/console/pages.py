"""The files of the page, read once at the start, and the headers that they are sent with.

The page refers to its files by `/console/static/...`. In the page that is sent, a digest of all
files is added to that path, so that a browser may keep each of them for ever, and gets all of them
anew with the next release.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from server.http.answer import NOT_MODIFIED, Answer
from server.http.request import Handler, Request

STATIC: Final = "/console/static/"
INDEX: Final = "index.html"
MEDIA_TYPES: Final = {
    "css": b"text/css; charset=utf-8",
    "html": b"text/html; charset=utf-8",
    "ico": b"image/x-icon",
    "js": b"text/javascript; charset=utf-8",
    "json": b"application/json",
    "map": b"application/json",
    "mjs": b"text/javascript; charset=utf-8",
    "png": b"image/png",
    "svg": b"image/svg+xml",
    "txt": b"text/plain; charset=utf-8",
    "webmanifest": b"application/manifest+json",
    "woff2": b"font/woff2",
}
"""Media type by the end of a file's name; files with another end are not served."""
PROTECTION: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""Headers by which a browser runs nothing but the page's own files, and shows it in no other."""
_ASK_AGAIN: Final = (b"cache-control", b"no-cache")
_FOR_EVER: Final = (b"cache-control", b"public, max-age=31536000, immutable")


class Pages:
    """The files of the page."""

    def __init__(self) -> None:
        self._files = dict(_read(files("server.console").joinpath("static"), ""))
        digest = hashlib.sha256()
        for name, content in sorted(self._files.items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        self._release = digest.hexdigest()[:16]

    def table(self) -> Sequence[tuple[str, str, Handler]]:
        """Method, path and handler of each file, and of the page itself."""
        index = self._files.get(INDEX, b"")
        index = index.replace(STATIC.encode(), f"{STATIC}{self._release}/".encode())
        page = _handler(index, MEDIA_TYPES["html"], _ASK_AGAIN)
        rows: list[tuple[str, str, Handler]] = [("GET", "/", page), ("GET", "/console", page)]
        for name, content in self._files.items():
            kind = MEDIA_TYPES[name.rpartition(".")[2]]
            rows += [
                ("GET", f"{STATIC}{name}", _handler(content, kind, _ASK_AGAIN)),
                ("GET", f"{STATIC}{self._release}/{name}", _handler(content, kind, _FOR_EVER)),
            ]
        return rows


def _handler(
    content: bytes, kind: bytes, caching: tuple[bytes, bytes]
) -> Callable[[Request], Awaitable[Answer]]:
    """What answers with a file; a browser that has it already is told so (RFC 9110, 13.1.2)."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'.encode()
    headers = (*PROTECTION, caching, (b"etag", tag))
    whole = Answer(200, content, kind, headers)
    unchanged = Answer(NOT_MODIFIED, b"", kind, headers)

    async def handler(request: Request) -> Answer:
        known = request.header(b"if-none-match")
        # A proxy marks the tag of a compressed answer as weak, which counts alike here.
        return unchanged if tag in known else whole

    return handler


def _read(folder: Traversable, below: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file in a folder and those in it; names have slashes."""
    for entry in folder.iterdir():
        name = f"{below}{entry.name}"
        if entry.is_dir():
            yield from _read(entry, f"{name}/")
        elif entry.name.rpartition(".")[2] in MEDIA_TYPES:
            yield name, entry.read_bytes()
