"""Lets a request in, or refuses it: by its token, its session, its certificate, or its address."""

from collections.abc import Mapping
from pathlib import Path
from time import monotonic

from server.access.origins import Origins
from server.access.refusals import ForbiddenError, UnauthorizedError
from server.access.scopes import needed
from server.access.sessions import Sessions
from server.access.settings import Access, Scope
from server.access.tls import context, load_certificate
from server.access.tokens import Grant, Tokens
from server.http.refusals import RefusedError
from server.http.request import Request
from serving import log
from serving.errors import ConfigError

_READING = frozenset({"GET", "HEAD"})


def demand(scope: Scope, grant: Grant) -> None:
    """Do nothing where a token has a scope.

    Raises:
        ForbiddenError: it does not have it.
    """
    if scope not in grant.scopes:
        raise ForbiddenError(
            f"the token '{grant.name}' has the scopes {', '.join(sorted(grant.scopes))}; this "
            f"needs {scope}",
            scope,
        )


class Guard:
    """Knows who may ask what.

    Args:
        access: the settings.
        log_interval_s: seconds in which a refusal of one kind is logged at most once.

    Attributes:
        tls: what TLS needs; None where connections are not encrypted.
        tokens: the tokens.
        sessions: the sessions of the page.

    Raises:
        ConfigError: the tokens, or a certificate, cannot be used.
    """

    def __init__(self, access: Access, log_interval_s: float) -> None:
        self.tls = context(access)
        self.tokens = Tokens(access.tokens_file)
        self.sessions = Sessions(access.session_s, access.max_sessions, monotonic)
        self._access = access
        self._open, self._certified = access.open, frozenset(access.certificate_scopes)
        self._origins = Origins(access.hosts)
        self._log = log.Limited(log_interval_s)
        self._seen = self._versions()

    def check(self, request: Request) -> None:
        """Do nothing where a request may be answered.

        Args:
            request: the request, whose route is known.

        Raises:
            UnauthorizedError: it needs a token, and has none that is known.
            ForbiddenError: its token does not have the scope that it needs.
            MisdirectedError: it is for a name that is not ours.
            CrossSiteError: a page of another site has sent it.
        """
        try:
            self._check(request)
        except RefusedError as exc:
            self.tell(exc, request.route, request.link.client)
            raise

    def check_call(self, scope: Scope, authorization: bytes | None) -> None:
        """Do nothing where a call over gRPC may be answered.

        Args:
            scope: the scope that the call needs.
            authorization: its metadata `authorization`; None without it.

        Raises:
            UnauthorizedError: it needs a token, and has none that is known.
            ForbiddenError: its token does not have the scope.
        """
        if scope in self._open:
            return
        if authorization is not None:
            demand(scope, self.tokens.find(authorization))
            return
        # gRPC asks clients for a certificate only where nobody is let in without one.
        is_certified = self._access.client_ca_file and self._access.client_certificate == "required"
        if not is_certified or scope not in self._certified:
            raise UnauthorizedError(
                f"this needs a token with the scope {scope}, in the metadata authorization: Bearer"
            )

    def tell(self, refusal: RefusedError, path: str, client: str) -> None:
        """Log that somebody was refused, at a limited rate and without what was sent."""
        self._log.warning(
            refusal.reason, "access refused", client=client, path=path, reason=str(refusal)
        )

    def _check(self, request: Request) -> None:
        method, headers = request.method, dict(request.headers)
        scope = needed(method, request.route)
        if scope is None:
            if method not in _READING:
                self._origins.check(method, headers)
            return
        sent = headers.get(b"authorization")
        if sent is not None and scope not in self._open:
            grant = self.tokens.find(sent)
            demand(scope, grant)
            request.token = grant.name
            return
        self._origins.check(method, headers)
        if scope in self._open:
            return
        if scope in self._certified and request.link.has_certificate:
            return
        self._check_session(scope, headers)

    def _check_session(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        session = self.sessions.find(headers)
        if session is None:
            raise UnauthorizedError(
                f"this needs a token with the scope {scope}, in the header Authorization: Bearer"
            )
        demand(scope, self.tokens.named(session.token_sha256))
        if scope != "read":
            raise ForbiddenError(
                f"a session of the page may read only; this needs a token with the scope {scope}",
                scope,
            )

    def refresh(self) -> None:
        """Read tokens and certificate again, where their files have changed.

        A file that cannot be used changes nothing, and is told until it is corrected.
        """
        found = self._versions()
        if found == self._seen:
            return
        try:
            self.tokens.read()
            if self.tls is not None and self._access.cert_file and self._access.key_file:
                load_certificate(self.tls, self._access.cert_file, self._access.key_file)
        except ConfigError as exc:
            self._log.warning("files", "what was read before stays in use", reason=str(exc))
        else:
            self._seen = found
            log.info("tokens and certificate were read again", tokens=self.tokens.count)

    def _versions(self) -> list[tuple[int, int, int] | None]:
        return [_version(path) for path in self._access.files.values() if path is not None]


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
