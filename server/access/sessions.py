"""Sessions of the page: a cookie that stands for a token, so that a browser need not keep it."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final

from server.access.tokens import digest

COOKIE: Final = "millhand_session"
_MAX_COOKIE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Session:
    """A session.

    Attributes:
        token_sha256: SHA-256 of the token that it was begun with.
        ends_s: monotonic time at which it ends, in seconds.
    """

    token_sha256: bytes
    ends_s: float


class Sessions:
    """The sessions that have begun since the start, by the SHA-256 of their cookies.

    Args:
        session_s: seconds after which one ends.
        max_sessions: most sessions at a time.
        clock: monotonic time in seconds.
    """

    def __init__(self, session_s: float, max_sessions: int, clock: Callable[[], float]) -> None:
        self._session_s, self._max_sessions, self._clock = session_s, max_sessions, clock
        self._sessions: dict[bytes, Session] = {}

    def begin(self, token_sha256: bytes) -> str:
        """Begin a session, and return the value of its cookie."""
        value = secrets.token_urlsafe(32)
        while len(self._sessions) >= self._max_sessions:
            del self._sessions[next(iter(self._sessions))]
        ends_s = self._clock() + self._session_s
        self._sessions[digest(value.encode())] = Session(token_sha256, ends_s)
        return value

    def find(self, headers: Mapping[bytes, bytes]) -> Session | None:
        """The session of a request; None where it has none that goes on."""
        key = _key(headers)
        found = self._sessions.get(key)
        if found is not None and found.ends_s <= self._clock():
            del self._sessions[key]
            return None
        return found

    def end(self, headers: Mapping[bytes, bytes]) -> None:
        """End the session of a request, if there is one."""
        self._sessions.pop(_key(headers), None)


def cookie(value: str, lasts_s: int, *, is_encrypted: bool) -> bytes:
    """The header Set-Cookie that gives a cookie to the browser (RFC 6265, section 4.1).

    Scripts cannot read it, and no other site can have it sent.

    Args:
        value: value of the cookie.
        lasts_s: seconds after which the browser forgets it; 0: at once.
        is_encrypted: whether it must only be sent over TLS.
    """
    secure = "; Secure" if is_encrypted else ""
    return (
        f"{COOKIE}={value}; Path=/; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{secure}"
    ).encode()


def _key(headers: Mapping[bytes, bytes]) -> bytes:
    sent = headers.get(b"cookie", b"")
    if COOKIE.encode() not in sent or len(sent) > _MAX_COOKIE_BYTES:
        return b""
    try:
        found = SimpleCookie(sent.decode("latin-1")).get(COOKIE)
    except CookieError:
        return b""
    return b"" if found is None else digest(found.value.encode())
