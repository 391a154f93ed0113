"""What identifies this gateway to the registry, read from files each time that it is used.

So a token or a certificate that is replaced on the disk is used by the next request, without a
restart of the agent. No error text has anything of a secret in it: it names the key and the file.
Only the child process imports this file.
"""

import re
import ssl
from base64 import b64encode
from pathlib import Path
from typing import Final

from serving.registry.access import Access
from serving.registry.refusals import CredentialsError

MAX_SECRET_BYTES: Final = 8192
"""Bytes of a token or a password; longer headers are refused by most servers."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token of RFC 6750, 2.1


class Credentials:
    """Reads the files that `Access` names.

    Args:
        access: which files there are.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    def headers(self) -> dict[str, str]:
        """The header that identifies this gateway, or nothing if no secret is configured.

        Raises:
            CredentialsError: a file cannot be read, or holds no token or password.
        """
        access = self._access
        if access.token_file is not None:
            token = _secret("registry.token_file", access.token_file)
            if not _TOKEN.fullmatch(token):
                raise CredentialsError(
                    f"registry.token_file: {access.token_file} holds no bearer token: allowed are"
                    " letters, digits and . _ ~ + / - in one line (RFC 6750, 2.1)"
                )
            return {"Authorization": f"Bearer {token}"}
        if access.username is not None and access.password_file is not None:
            password = _secret("registry.password_file", access.password_file)
            if not password.isprintable():
                raise CredentialsError(
                    f"registry.password_file: {access.password_file} holds more than one line, or"
                    " control characters; it must hold the password alone"
                )
            pair = b64encode(f"{access.username}:{password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {}

    def context(self, *, is_own: bool) -> ssl.SSLContext:
        """What TLS needs for a server.

        Args:
            is_own: whether the server is the registry itself, which alone is shown the client
                certificate.

        Raises:
            CredentialsError: a certificate or key cannot be used.
        """
        access = self._access
        try:
            context = ssl.create_default_context(cafile=access.ca_file)
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            message = f"registry.ca_file: {access.ca_file} cannot be used: {_cause(exc)}"
            raise CredentialsError(message) from exc
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
        if is_own and access.cert_file is not None:
            try:
                # Without a password OpenSSL asks the terminal for that of an encrypted key.
                context.load_cert_chain(access.cert_file, access.key_file, password="")
            except (OSError, ValueError) as exc:
                raise CredentialsError(
                    f"registry.cert_file and registry.key_file: {access.cert_file} with"
                    f" {access.key_file} cannot be used: {_cause(exc)}. Both must be PEM, belong"
                    " together, and the key must have no password"
                ) from exc
        return context


def _secret(key: str, path: Path) -> str:
    """The text of a file, without white space around it."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    except OSError as exc:
        raise CredentialsError(f"{key}: {path} cannot be read: {exc.strerror}") from exc
    try:
        text = content.decode().strip()
    except UnicodeDecodeError as exc:
        raise CredentialsError(f"{key}: {path} is not text in UTF-8") from exc
    if not text or len(content) > MAX_SECRET_BYTES:
        raise CredentialsError(
            f"{key}: {path} is {'longer than' if text else 'empty; allowed are 1 to'}"
            f" {MAX_SECRET_BYTES} bytes"
        )
    return text


def _cause(error: Exception) -> str:
    """Why a file cannot be used, in words of OpenSSL or of the system."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is not PEM"
    return getattr(error, "strerror", None) or type(error).__name__
