"""The list of the bundles of one stream, where a registry has one for each.

The list of bundles delegates the paths of a stream to a role of its own (TUF specification, 4.5),
so that a gateway reads the list of its streams, and not those of others. Its keys are those of the
list of bundles.
"""

from typing import Final

MAX_LIST_BYTES: Final = 5_000_000
"""Bytes of a signed list at most, about 18,000 bundles; as python-tuf limits it."""
_PREFIX: Final = "bundles."


def role_of(stream: str) -> str:
    """Name of the delegated role that signs the bundles of a stream."""
    return f"{_PREFIX}{stream}"


def stream_of(role: str) -> str | None:
    """Stream whose bundles a delegated role signs; None for other roles."""
    return role.removeprefix(_PREFIX) if role.startswith(_PREFIX) else None


def pattern_of(stream: str) -> str:
    """Pattern of the paths of a stream's bundles, `bundles/<stream>/<seq>/<sha256>.zip`."""
    return f"bundles/{stream}/*/*.zip"


def belongs(path: str, stream: str) -> bool:
    """Whether a path is one of the stream's, as `pattern_of` has them."""
    parts = path.split("/")
    return len(parts) == pattern_of(stream).count("/") + 1 and parts[:2] == ["bundles", stream]
