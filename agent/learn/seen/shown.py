"""What is shown of the wire in comments: short, on one line, and without secrets."""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from models.printable import on_one_line

MAX_SHOWN: Final = 60
"""Longest text from the wire in a comment, in characters."""
_MASK: Final = "***"
_MAX_KEYS: Final = 4
_SECRET: Final = re.compile(
    r"passw|passphrase|\bpwd\b|secret|token|credential|api.?key|private.?key|authori[sz]ation"
    r"|\bpin\b|cookie|session.?id",
    re.IGNORECASE,
)
# A long run of letters and digits without a word in it is a key or a token, not a name.
_DENSE: Final = re.compile(r"(?=[A-Za-z+=]*[0-9])(?=[0-9+=]*[A-Za-z])[A-Za-z0-9+=]{24,}")


def plain(text: str) -> str:
    """The text on one line, see `on_one_line`."""
    return on_one_line(text)


def is_secret(name: str) -> bool:
    """Whether a key or a topic says that what it names is a secret."""
    return _SECRET.search(name) is not None


def shortened(text: str, limit: int = MAX_SHOWN) -> str:
    """A text from the wire as comments show it."""
    masked = _DENSE.sub(_MASK, text[: 8 * limit])
    return plain(masked if len(masked) <= limit else masked[: limit - 3] + "...")


def value(found: object, name: str = "") -> str:
    """A value as comments show it; `name` is the key that it stands at."""
    if is_secret(name):
        return _MASK
    return shortened(json.dumps(_masked(found), ensure_ascii=False, default=str))


def payload(content: bytes, topic: str = "", document: object = None) -> str:
    """A payload as comments show it."""
    if is_secret(topic):
        return _MASK
    if isinstance(document, dict | list):
        return value(document)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return f"{len(content)} bytes that are no text, 0x{content[:8].hex()}..."
    # Nobody knows what a text is: it may be a password.
    return f"text of {len(text)} characters" if text else "an empty payload"


def two(texts: Iterable[str]) -> str:
    """The first two different texts, as a list in words."""
    return " and ".join(list(dict.fromkeys(texts))[:2])


def _masked(found: Any, depth: int = 0) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(found, dict):
        few = list(found.items())[:_MAX_KEYS] if depth else list(found.items())[: 2 * _MAX_KEYS]
        return {name: _MASK if is_secret(name) else _masked(one, depth + 1) for name, one in few}
    if isinstance(found, list):
        return [_masked(one, depth + 1) for one in found[:2]]
    return float(f"{found:.6g}") if isinstance(found, float) else found
