"""The errors of a connection to the broker."""

import ssl
from typing import ClassVar

from serving.errors import TransientError


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
    if isinstance(error, ssl.SSLError):
        return getattr(error, "verify_message", "") or error.reason or str(error)
    file = getattr(error, "filename", None)
    reason = getattr(error, "strerror", None) or str(error)
    return f"{file}: {reason}" if file else reason
