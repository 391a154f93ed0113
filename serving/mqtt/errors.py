"""The errors of a connection to the broker, and their causes in words."""

import ssl
from typing import ClassVar, Final

from serving.errors import TransientError

REFUSED_FROM: Final = 0x80
"""Least reason code that is a refusal (MQTT 5, 2.4)."""
_REASON_CODES: Final = {
    0x80: "unspecified error",
    0x83: "a rule of the broker's own",
    0x87: "not authorised: the broker's access rules do not permit it",
    0x90: "the topic name is not allowed",
    0x91: "the packet id is in use",
    0x97: "a quota of the broker is exceeded",
    0x99: "the payload format is not allowed",
}
"""Of PUBACK and PUBREC (MQTT 5, 3.4.2.1 and 3.5.2.1)."""
# Verification errors of OpenSSL by X509_STORE_CTX_get_error(3).
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
_OTHER_NAME = (62, 64)
_TLS_REASONS: Final = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the broker demands a client certificate: set "
    "broker.cert_file and broker.key_file",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the broker ends the handshake: as a rule it demands a client "
    "certificate (broker.cert_file, broker.key_file), or no cipher is common to both",
    "TLSV1_ALERT_UNKNOWN_CA": "the broker does not know the authority that has signed "
    "broker.cert_file",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "broker.cert_file has expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the broker refuses broker.cert_file",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the broker refuses broker.cert_file",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the broker speaks only versions of TLS before 1.2",
    "UNSUPPORTED_PROTOCOL": "the broker speaks only versions of TLS before 1.2",
    "WRONG_VERSION_NUMBER": "the other side does not speak TLS",
    "RECORD_LAYER_FAILURE": "the other side does not speak TLS",
    "UNEXPECTED_EOF_WHILE_READING": "closed by the other side during the handshake",
}
"""Alerts of the broker (RFC 8446, 6) and findings of OpenSSL, by the names that Python gives."""


class BrokerError(TransientError):
    """The broker cannot be reached, or refuses the connection for now.

    The caller waits with jitter and tries again; the error never ends the process.
    """

    code: ClassVar[str] = "broker"


def reason_of(error: OSError | ValueError) -> str:
    """The cause of an error of sockets, TLS or files, in words that people can act on.

    Python's own text surrounds the cause with numbers (`[Errno 111]`) and names of C functions. The
    file is named if the error is about one.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _unverified(error.verify_code, error.verify_message)
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        return _TLS_REASONS.get(reason, reason) or str(error)
    file = getattr(error, "filename", None)
    reason = getattr(error, "strerror", None) or str(error)
    return f"{file}: {reason}" if file else reason


def refusal_of(reason_code: int) -> str:
    """A reason code of PUBACK or PUBREC in words, with its number."""
    return f"{_REASON_CODES.get(reason_code, 'refused')} ({reason_code:#04x})"


def _unverified(verify_code: int, message: str) -> str:
    """Why a certificate of the broker is not accepted, and what to do.

    Args:
        verify_code: error of OpenSSL.
        message: its text, which names the host where that is what differs.
    """
    if verify_code in _OTHER_NAME:
        return f"{message.rstrip('.')}: broker.host must be a name in the broker's certificate"
    if verify_code == _EXPIRED:
        return "the broker's certificate has expired: renew it, or correct the gateway's clock"
    if verify_code == _NOT_YET_VALID:
        return "the broker's certificate is not valid yet: correct the gateway's clock"
    if verify_code in _UNKNOWN_ISSUER:
        return (
            f"the broker's certificate is not signed by an authority that is trusted here "
            f"({message}): set broker.ca_file to that authority's"
        )
    return message
