"""Bearer tokens: how they are made, the file of their hashes, and whose one is.

A token is 256 random bits, so a plain SHA-256 of it cannot be turned back by guessing; a slow hash,
as passwords need it, would only cost time with each request. Tokens are found by their hash. Time
that a look-up takes can tell about hashes alone, which a client cannot choose.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from server.access.refusals import UnauthorizedError
from server.access.settings import Scope
from serving.errors import ConfigError

_PREFIX: Final = "millhand_"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
_MAX_FILE_BYTES: Final = 256 << 10
_FORM: Final = "a line is: NAME SCOPE,SCOPE sha256:HASH, as `millhand-server token` prints it"


@dataclass(frozen=True, slots=True)
class Grant:
    """What the holder of a token may do.

    Attributes:
        name: name of the token.
        scopes: what it may be used for.
    """

    name: str
    scopes: frozenset[Scope]


class Tokens:
    """The tokens of a file.

    Args:
        path: the file; None: there are no tokens.

    Raises:
        ConfigError: the file cannot be read, or a line of it.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._grants: Mapping[bytes, Grant] = {}
        self.read()

    @property
    def count(self) -> int:
        """Number of tokens."""
        return len(self._grants)

    def read(self) -> None:
        """Read the file again; where that fails, the tokens from before stay.

        Raises:
            ConfigError: the file cannot be read, or a line of it.
        """
        if self._path is not None:
            self._grants = read_tokens(self._path)

    def find(self, authorization: bytes) -> Grant:
        """Whose the token of a request is.

        Args:
            authorization: value of the header Authorization.

        Raises:
            UnauthorizedError: it has no token, or one that is not known.
        """
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise UnauthorizedError(
                "the header Authorization does not begin with 'Bearer'; allowed is a bearer token"
            )
        return self.named(digest(token.strip()))

    def named(self, sha256: bytes) -> Grant:
        """Whose the token with a SHA-256 is.

        Raises:
            UnauthorizedError: it is not known, or not any more.
        """
        grant = self._grants.get(sha256)
        if grant is None:
            raise UnauthorizedError("the token is not known, or not any more", is_wrong=True)
        return grant


def digest(token: bytes) -> bytes:
    """The SHA-256 of a token, by which it is found."""
    return hashlib.sha256(token).digest()


def made(name: str, scopes: Sequence[str]) -> tuple[str, str]:
    """A new token, and the line that lets it in.

    Raises:
        ConfigError: the name or a scope is not allowed.
    """
    token = _PREFIX + secrets.token_urlsafe(32)
    line = f"{name} {','.join(scopes)} sha256:{digest(token.encode()).hex()}"
    try:
        _read_line(line)
    except ValueError as exc:
        raise ConfigError(f"token: {exc}") from exc
    return token, line


def read_tokens(path: Path) -> dict[bytes, Grant]:
    """The tokens of a file, by the SHA-256 of each.

    No message has anything of a line in it but its name.

    Raises:
        ConfigError: the file cannot be read, or a line of it.
    """
    key = "access.tokens_file"
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"{key}: {path} cannot be read: {exc.strerror}") from exc
    if len(content) > _MAX_FILE_BYTES:
        raise ConfigError(f"{key}: {path} is longer than {_MAX_FILE_BYTES} bytes")
    grants: dict[bytes, Grant] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            sha256, grant = _read_line(line)
        except ValueError as exc:
            raise ConfigError(f"{key}: {path}, line {number}: {exc}") from exc
        if sha256 in grants or any(one.name == grant.name for one in grants.values()):
            raise ConfigError(f"{key}: {path}, line {number}: name or hash is there twice")
        grants[sha256] = grant
    return grants


def _read_line(line: str) -> tuple[bytes, Grant]:
    parts = line.split()
    if len(parts) != 3:  # noqa: PLR2004  name, scopes, hash
        raise ValueError(f"found {len(parts)} words; {_FORM}")
    name, scopes, sha256 = parts
    if not _NAME.fullmatch(name):
        raise ValueError("the name may have letters, digits and . _ - only, 64 at most")
    listed = scopes.split(",")
    unknown = [one for one in listed if one not in _SCOPES]
    if unknown:
        raise ValueError(f"'{name}' has a scope that is none; there are {', '.join(_SCOPES)}")
    if not _HASH.fullmatch(sha256):
        raise ValueError(f"'{name}' has no SHA-256 in small hexadecimal digits; {_FORM}")
    found = frozenset(one for one in _SCOPES if one in listed)
    return bytes.fromhex(sha256.removeprefix("sha256:")), Grant(name, found)
