"""The paths by which the page begins and ends its session.

| method | path | answer |
| --- | --- | --- |
| POST | /console/session | takes `{"token": "..."}`, and gives a cookie that may read |
| DELETE | /console/session | ends the session, and takes the cookie back |
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from server.access.guard import Guard, demand
from server.access.refusals import ForbiddenError, UnauthorizedError
from server.access.sessions import cookie
from server.access.settings import Access
from server.access.tokens import digest
from server.http.answer import Answer, json
from server.http.refusals import RefusedError
from server.http.request import Handler, Request

PATH: Final = "/console/session"
_MAX_BODY_BYTES: Final = 4096


class PageSession:
    """Begins and ends sessions of the page.

    Args:
        guard: knows the tokens and the sessions.
        access: the settings.
    """

    def __init__(self, guard: Guard, access: Access) -> None:
        self._guard = guard
        self._lasts_s = int(access.session_s)
        self._is_encrypted = access.is_encrypted or access.allow_plaintext

    def table(self) -> Sequence[tuple[str, str, Handler]]:
        """Method, path and handler of everything that is answered here."""
        return (("POST", PATH, self._begin), ("DELETE", PATH, self._end))

    async def _begin(self, request: Request) -> Answer:
        sha256 = digest(_token(request.body(_MAX_BODY_BYTES)))
        try:
            demand("read", self._guard.tokens.named(sha256))
        except (ForbiddenError, UnauthorizedError) as exc:
            self._guard.tell(exc, PATH, request.link.client)
            raise
        value = self._guard.sessions.begin(sha256)
        return self._answer(["read"], value, self._lasts_s)

    async def _end(self, request: Request) -> Answer:
        self._guard.sessions.end({b"cookie": request.header(b"cookie")})
        return self._answer([], "", 0)

    def _answer(self, scopes: list[str], value: str, lasts_s: int) -> Answer:
        given = cookie(value, lasts_s, is_encrypted=self._is_encrypted)
        headers = ((b"set-cookie", given), (b"cache-control", b"no-store"))
        return json({"scopes": scopes, "session_s": lasts_s})._replace(headers=headers)


def _token(body: bytes) -> bytes:
    """The token of a body; no message repeats it."""
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    token = document.get("token") if isinstance(document, dict) else None
    if not isinstance(token, str) or not token.isascii():
        raise RefusedError('the body must be a JSON object with a text "token"')
    return token.strip().encode()
