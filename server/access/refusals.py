"""Requests that are refused for who asks, or from where (RFC 6750, section 3)."""

from typing import ClassVar

from server.http.refusals import Headers, RefusedError


class UnauthorizedError(RefusedError):
    """The request needs a token, and has none that is known.

    Args:
        message: what was found.
        is_wrong: whether there is a token, which is not known.
    """

    status: ClassVar[int] = 401
    reason: ClassVar[str] = "unauthorized"

    def __init__(self, message: str, *, is_wrong: bool = False) -> None:
        super().__init__(message)
        self._is_wrong = is_wrong

    @property
    def headers(self) -> Headers:
        """How to identify oneself (RFC 9110, 11.6.1)."""
        why = b', error="invalid_token"' if self._is_wrong else b""
        return ((b"www-authenticate", b'Bearer realm="millhand"' + why),)


class ForbiddenError(RefusedError):
    """The client is known, and may not do this.

    Args:
        message: what was found.
        scope: the scope that the request needs.
    """

    status: ClassVar[int] = 403
    reason: ClassVar[str] = "forbidden"

    def __init__(self, message: str, scope: str) -> None:
        super().__init__(message)
        self._scope = scope.encode()

    @property
    def headers(self) -> Headers:
        """The scope that is missing (RFC 6750, 3.1)."""
        challenge = b'Bearer realm="millhand", error="insufficient_scope", scope="%b"' % self._scope
        return ((b"www-authenticate", challenge),)


class CrossSiteError(RefusedError):
    """A page of another site has a browser ask."""

    status: ClassVar[int] = 403
    reason: ClassVar[str] = "cross_site"


class MisdirectedError(RefusedError):
    """The request is for a host that this server is not (RFC 9110, 15.5.20)."""

    status: ClassVar[int] = 421
    reason: ClassVar[str] = "misdirected"
