"""What a web server's answer, or its silence, means in words, and what to do about it.

Every text here is published on `feedback`, so it names no secret: URLs are shortened, files stand
for what is in them.
"""

import json
import re
import ssl
from http import HTTPStatus
from typing import Final

from urllib3.exceptions import HTTPError

from models.address import shortened
from models.errors import MillhandError
from serving.registry.access import Access
from serving.registry.refusals import (
    AccessDeniedError,
    NotServedError,
    OversizedError,
    UnexpectedAnswerError,
    UnreachableError,
)

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,19}")
_UNKNOWN_AUTHORITY: Final = frozenset({18, 19, 20, 21})
"""Codes by which OpenSSL says that no trusted authority has signed (X509_V_ERR_*)."""
_LOGIN: Final = (
    "set token_file, or username and password_file, or cert_file and key_file, under [registry]"
)


def refused_by(status: int, where: str, access: Access, challenge: str) -> MillhandError:
    """The error that an HTTP status stands for.

    Args:
        status: status that is neither 200 nor 206.
        where: URL that was asked for, as messages show it.
        access: how this gateway identifies itself.
        challenge: header WWW-Authenticate of the answer; empty without one.
    """
    told = f"{where}: HTTP status {status}"
    if status == HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:
        return UnreachableError(f"{told}: the network wants a login (RFC 6585, 6)")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnreachableError(told)
    if status == HTTPStatus.UNAUTHORIZED:
        return AccessDeniedError(f"{told}: {_unauthorized(access, challenge)}", status)
    if status == HTTPStatus.FORBIDDEN:
        return AccessDeniedError(f"{told}: {_forbidden(access)}", status)
    if status == HTTPStatus.BAD_REQUEST and where.startswith("https:") and not access.cert_file:
        told += "; if the server demands a client certificate, set registry.cert_file and key_file"
    return NotServedError(told, status)


def broken_by(error: HTTPError, access: Access, *, is_own: bool = True) -> str:
    """Why there was no answer; urllib3's own text has addresses of its objects and URLs in it.

    Args:
        error: what urllib3 raised.
        access: how this gateway identifies itself.
        is_own: whether the registry itself was asked, and no other server.
    """
    cause = error.__cause__ or error.__context__ or error
    reason = f"{type(error).__name__} ({getattr(cause, 'strerror', None) or type(cause).__name__})"
    remedy = _tls_remedy(cause, access, is_own=is_own) if isinstance(cause, ssl.SSLError) else ""
    return f"{reason}{remedy}"


def kind_of(content: bytes) -> str:
    """What an answer that is no file of a registry looks like.

    It never repeats the content: where the registry is a folder, a link in it may lead to a secret.

    Args:
        content: the first bytes of the answer.
    """
    if not content.strip():
        return "nothing"
    if content.lstrip().startswith(b"<"):
        return "a page of HTML, perhaps the login page of a network (captive portal)"
    return "something else, perhaps by another server than the registry's"


def check_form(content: bytes, max_length: int, url: str) -> None:
    """Tell what nobody has signed from metadata, before it can be taken for an attack.

    A login page of a network answers with status 200 and HTML. It says nothing about the registry,
    so it is asked again soon. What has the form of signed metadata is judged by its signatures.

    Args:
        content: what was answered, up to one byte more than allowed.
        max_length: bytes that are allowed.
        url: what was asked for.

    Raises:
        OversizedError: it looks like metadata, and is longer.
        UnexpectedAnswerError: it is no metadata.
    """
    if len(content) > max_length:
        if content.lstrip().startswith(b"{"):
            raise OversizedError(f"{shortened(url)} is longer than {max_length} bytes")
        document = None
    else:
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            document = None
    if not (isinstance(document, dict) and {"signed", "signatures"} <= document.keys()):
        raise UnexpectedAnswerError(
            f"{shortened(url)} was answered with no metadata of a registry, but with"
            f" {kind_of(content)}"
        )


def _unauthorized(access: Access, challenge: str) -> str:
    if access.token_file is not None:
        return (
            f"the server does not accept the token in {access.token_file}; it may have expired."
            " Put a valid one into the file, which is read for each request"
        )
    if access.username is not None:
        return (
            f"the server does not accept the user name '{access.username}' with the password in"
            f" {access.password_file}. Correct the file, which is read for each request"
        )
    scheme = _SCHEME.match(challenge)
    return f"the server demands a login{f' ({scheme[0]})' if scheme else ''}: {_LOGIN}"


def _forbidden(access: Access) -> str:
    given = [name for name in ("token_file", "username", "cert_file") if getattr(access, name)]
    if given:
        return (
            f"the server knows this gateway ({' and '.join(given)} under [registry]) and does not"
            " let it read the file: give it the right to read the whole folder"
        )
    return f"the server lets nobody read the file without a login: {_LOGIN}"


def _tls_remedy(error: ssl.SSLError, access: Access, *, is_own: bool) -> str:
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _UNKNOWN_AUTHORITY:
            return "; name the authority that has signed the server's certificate in ca_file"
        return "; look at the certificate of the server, and at the gateway's clock"
    if "WRONG_VERSION_NUMBER" in reason:
        return "; this port does not speak TLS: the address may have to begin with http://"
    if not any(word in reason for word in ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")):
        return ""
    if not is_own:
        return "; the server demands a client certificate, which only the registry is shown"
    return _certificate_remedy(access)


def _certificate_remedy(access: Access) -> str:
    if access.cert_file is None:
        return "; the server demands a client certificate: set cert_file and key_file"
    return f"; the server does not accept the client certificate in {access.cert_file}"
