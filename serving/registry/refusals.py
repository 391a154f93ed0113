"""Why an update did not happen: a class, with a constant code, for each attack or failure.

UntrustedBundleError           refused; tried again only with the next poll or desired state
├── UnsignedError              too few valid signatures of the keys that may sign
├── RollbackError              metadata older than what this gateway has accepted before
├── ExpiredError               not signed anew in time: a freeze attack, or a forgotten task
├── MetadataError              malformed, or of a kind that the agent does not understand
├── OversizedError             more bytes than are signed, or than the operator allows
├── WrongStreamError           the signed path and the signed description name different bundles
├── NotPublishedError          no such bundle is signed
├── RevokedError               withdrawn by its publisher
├── BelowFloorError            older than the oldest bundle that may run
├── QuarantinedError           has failed on this gateway, and must not serve here again
├── DowngradeError             older than what has served here, and not allowed by the configuration
└── TrustAnchorError           root.json or trust.json of this gateway cannot be used
TransientError                 tried again by the agent, with growing waits
├── UnreachableError           no connection, an interrupted one, or a failing server
├── TooSlowError               the server answers below the lowest rate
├── NotServedError             the server does not have a file that should be there
│   └── AccessDeniedError      the server does not let this gateway read it
├── RedirectedError            the server sends the gateway to a place that is not allowed
├── UnexpectedAnswerError      the answer is no file of a registry, or only a part of it
├── CredentialsError           a token, password or certificate of this gateway cannot be used
├── ClockBehindError           the clock is behind a time that has certainly passed
├── DiskFullError              no room for the bundle or the metadata
├── StorageError               the state directory cannot be read or written
├── PullTimeoutError           not finished by the deadline
├── PullCancelledError         the agent stops, or another bundle is desired
└── PullFailedError            the child process did not start, or ended without an answer

A bundle whose bytes are not those that are signed is a models.errors.DigestMismatchError. The names
of the attacks are those of the TUF specification, 1.5.2.
This file imports no TUF: the serving agent, which must stay small, imports it.
"""

import errno
from typing import ClassVar, Final

from models.errors import DigestMismatchError, MillhandError, UntrustedBundleError
from serving.errors import TransientError


class UnsignedError(UntrustedBundleError):
    """Metadata carries too few valid signatures of the keys that may sign it."""

    code: ClassVar[str] = "unsigned"


class RollbackError(UntrustedBundleError):
    """Metadata is older than what this gateway has accepted before."""

    code: ClassVar[str] = "rollback"


class ExpiredError(UntrustedBundleError):
    """Metadata has expired."""

    code: ClassVar[str] = "expired"


class MetadataError(UntrustedBundleError):
    """Metadata is malformed, or has content that the agent does not understand."""

    code: ClassVar[str] = "metadata_invalid"


class OversizedError(UntrustedBundleError):
    """A file is longer than is signed, or than the operator allows."""

    code: ClassVar[str] = "oversized"


class WrongStreamError(UntrustedBundleError):
    """The signed path and the signed description of a file name different bundles."""

    code: ClassVar[str] = "wrong_stream"


class NotPublishedError(UntrustedBundleError):
    """No bundle of that stream and seq is signed."""

    code: ClassVar[str] = "not_published"


class RevokedError(UntrustedBundleError):
    """The publisher has withdrawn the bundle."""

    code: ClassVar[str] = "revoked"


class BelowFloorError(UntrustedBundleError):
    """The bundle is older than the oldest that its publisher lets run."""

    code: ClassVar[str] = "below_floor"


class QuarantinedError(UntrustedBundleError):
    """The bundle has failed on this gateway, and must not serve here again (ADR 23)."""

    code: ClassVar[str] = "quarantined"


class DowngradeError(UntrustedBundleError):
    """A bundle is desired that is older than one that has served here and still may."""

    code: ClassVar[str] = "downgrade"


class TrustAnchorError(UntrustedBundleError):
    """The trusted root or the high-water mark of this gateway cannot be used."""

    code: ClassVar[str] = "trust_anchor_invalid"


class UnreachableError(TransientError):
    """The registry cannot be reached, the transfer broke off, or the server failed."""

    code: ClassVar[str] = "registry_unreachable"


class TooSlowError(TransientError):
    """The registry sends bytes more slowly than the lowest rate allowed."""

    code: ClassVar[str] = "too_slow"


class NotServedError(TransientError):
    """The registry does not have a file; asking again at once is useless.

    Attributes:
        status: HTTP status; 404 also for a missing local file; 0 if there is no status.
    """

    code: ClassVar[str] = "not_served"

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class AccessDeniedError(NotServedError):
    """The registry does not let this gateway read a file: HTTP status 401 or 403."""

    code: ClassVar[str] = "access_denied"


class RedirectedError(TransientError):
    """The registry sends the request to a place that the operator has not allowed."""

    code: ClassVar[str] = "redirected"


class UnexpectedAnswerError(TransientError):
    """The answer is not the file that was asked for, such as the login page of a network.

    Nobody has signed it, so it says nothing about the registry. What is signed wrongly is an
    UntrustedBundleError instead.
    """

    code: ClassVar[str] = "unexpected_answer"


class CredentialsError(TransientError):
    """A token, a password or a certificate that identifies this gateway cannot be used."""

    code: ClassVar[str] = "credentials_unusable"


class ClockBehindError(TransientError):
    """The clock of the gateway was set back, or has not been set yet."""

    code: ClassVar[str] = "clock_behind"


class DiskFullError(TransientError):
    """There is no room for the bundle or for the metadata."""

    code: ClassVar[str] = "disk_full"


class StorageError(TransientError):
    """A local folder cannot be read or written, for another reason than a full disk."""

    code: ClassVar[str] = "storage"


class PullTimeoutError(TransientError):
    """The deadline has passed; what was received is kept, and continued by the next pull."""

    code: ClassVar[str] = "pull_timeout"


class PullCancelledError(TransientError):
    """The agent stops, or another bundle is desired by now."""

    code: ClassVar[str] = "pull_cancelled"


class PullFailedError(TransientError):
    """The child process did not start, or ended without an answer."""

    code: ClassVar[str] = "pull_failed"


_KINDS: Final[tuple[type[MillhandError], ...]] = (
    *UntrustedBundleError.__subclasses__(),
    DigestMismatchError,
    UnreachableError,
    TooSlowError,
    NotServedError,
    AccessDeniedError,
    RedirectedError,
    UnexpectedAnswerError,
    CredentialsError,
    ClockBehindError,
    DiskFullError,
    StorageError,
)
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_KIND_BY_CODE: Final = {kind.code: kind for kind in _KINDS}


def error_of(code: str, message: str) -> MillhandError:
    """Build the error that the child process has named by its code.

    Args:
        code: code of a class above. An unknown one gives a PullFailedError.
        message: text of the error, for people.
    """
    return _KIND_BY_CODE.get(code, PullFailedError)(message)


def storage_error(error: OSError, what: str) -> TransientError:
    """Turn an error of the local disk into ours: DiskFullError without room, else StorageError.

    Args:
        error: error of the operating system.
        what: file or folder that was to be read or written, for people.
    """
    if error.errno in _NO_ROOM:
        return DiskFullError(f"no room on the disk for {what}")
    return StorageError(f"{what}: {error.strerror or error}")
