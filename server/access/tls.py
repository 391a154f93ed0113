"""What TLS needs: the server's certificate, and the authorities of client certificates."""

import ssl
from pathlib import Path

from server.access.settings import Access
from serving.errors import ConfigError


def context(access: Access) -> ssl.SSLContext | None:
    """What TLS needs; None where connections are not encrypted.

    Raises:
        ConfigError: a certificate or key cannot be used.
    """
    if access.cert_file is None or access.key_file is None:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    made.set_alpn_protocols(["http/1.1"])
    load_certificate(made, access.cert_file, access.key_file)
    if access.client_ca_file is not None:
        try:
            made.load_verify_locations(access.client_ca_file)
        except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
            raise ConfigError(
                f"access.client_ca_file: {access.client_ca_file} cannot be used: {_cause(exc)}"
            ) from exc
        is_required = access.client_certificate == "required"
        made.verify_mode = ssl.CERT_REQUIRED if is_required else ssl.CERT_OPTIONAL
    return made


def load_certificate(used: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    """Have new connections see a certificate; where it cannot be used, nothing changes.

    Raises:
        ConfigError: certificate or key cannot be used.
    """
    try:
        # A certificate without its key would take away the key of the one before.
        for one in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), used):
            # Without a password OpenSSL asks the terminal for that of an encrypted key.
            one.load_cert_chain(cert_file, key_file, password="")
    except (OSError, ValueError) as exc:
        raise ConfigError(
            f"access.cert_file and access.key_file: {cert_file} with {key_file} cannot be used: "
            f"{_cause(exc)}. Both must be PEM, belong together, and the key must have no password"
        ) from exc


def _cause(error: Exception) -> str:
    """Why a file cannot be used, in words of OpenSSL or of the system."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is not PEM"
    return getattr(error, "strerror", None) or type(error).__name__
