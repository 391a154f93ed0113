"""URLs as messages show them: scheme, host, port and path, and nothing that may be a secret.

Every message, log line and document that names a URL, or repeats a text with one in it, goes
through `shortened` or `without_secrets`. What is left out: user name and password (RFC 3986, 3.2.1
warns of them), the query and the fragment, in which signed addresses of object stores carry keys.
Where a URL is written so badly that its parts cannot be told apart, more is left out.

    https://user:secret@models.example:8443/registry/x.json?token=secret
    https://models.example:8443/registry/x.json
"""

import re
from typing import Final

MAX_CHARS: Final = 200
"""Characters of a URL that are shown."""
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]*")
_AUTHORITY_ENDS: Final = re.compile(r"[/\\]")
_HOST: Final = re.compile(r"(?:\[[0-9A-Za-z:.%]*\]|[^:\[\]]*)(?::\d*)?")


def shortened(url: str) -> str:
    """A URL for people to read; it never raises, whatever the text is.

    Args:
        url: a URL, or what was given in place of one.
    """
    scheme, separator, rest = re.split(r"[?#]", url, maxsplit=1)[0].partition("://")
    if not separator:
        return _printable(scheme.rpartition("@")[2])
    end = _AUTHORITY_ENDS.search(rest)
    authority, path = (rest, "") if end is None else (rest[: end.start()], rest[end.start() :])
    host = authority.rpartition("@")[2]
    if not _HOST.fullmatch(host):
        host = "***"  # as of `user:pass/word@host`, whose password has a slash in it
    if scheme.lower() != "file" and "@" in path:
        path = path[: path.index("@")].rpartition("/")[0] + "/***"
    return _printable(f"{scheme}://{host}{path}")


def without_secrets(text: str) -> str:
    """A text in which every URL is shortened, such as that of an exception."""
    return _URL.sub(lambda url: shortened(url[0]), text)


def _printable(text: str) -> str:
    """The text without control characters, which could steer a terminal, and not too long."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return shown if len(shown) <= MAX_CHARS else f"{shown[:MAX_CHARS]}..."
