"""Why an update did not happen: one class, with its constant code, for each attack or hindrance.

UntrustedBundleError           refused: asked for again only with the next poll or push
├── UnsignedError              too few valid signatures of the keys that may sign
├── RollbackError              older than what this gateway has already seen
├── ExpiredError               nobody has vouched for it for too long: a freeze, or a forgotten task
├── MetadataError              signed or not, it is not metadata that this agent understands
├── OversizedError             more bytes than were signed, or than the operator allows
├── WrongStreamError           the signed path and the signed description name different bundles
├── NotPublishedError          no such bundle is signed
├── RevokedError               signed once, withdrawn since
├── BelowFloorError            older than the oldest that may still run
└── TrustAnchorError           this gateway's own root.json or trust.json cannot be used
TransientError                 tried again by itself
├── UnreachableError           no connection, an interrupted one, or a failing server
├── TooSlowError               alive, but below the lowest rate
├── NotServedError             a file that should be there is not
├── ClockBehindError           the clock says less than has certainly passed
├── DiskFullError              no room for the bundle
├── StorageError               the state directory cannot be read or written
├── PullTimeoutError           not done by the deadline
├── PullCancelledError         the agent stops
└── PullFailedError            the child ended without a word

A bundle whose bytes are not those that were signed is models.errors.DigestMismatchError.
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
    """Metadata is malformed, or says what the agent does not understand."""

    code: ClassVar[str] = "metadata_invalid"


class OversizedError(UntrustedBundleError):
    """A file is longer than was signed, or than the operator allows."""

    code: ClassVar[str] = "oversized"


class WrongStreamError(UntrustedBundleError):
    """The signed path and the signed description disagree on which bundle it is."""

    code: ClassVar[str] = "wrong_stream"


class NotPublishedError(UntrustedBundleError):
    """No bundle of that stream and seq is signed."""

    code: ClassVar[str] = "not_published"


class RevokedError(UntrustedBundleError):
    """The publisher has withdrawn the bundle."""

    code: ClassVar[str] = "revoked"


class BelowFloorError(UntrustedBundleError):
    """The bundle is older than the oldest that the publisher still lets run."""

    code: ClassVar[str] = "below_floor"


class TrustAnchorError(UntrustedBundleError):
    """The trusted root or the watermark of this gateway cannot be used."""

    code: ClassVar[str] = "trust_anchor_invalid"


class UnreachableError(TransientError):
    """The registry cannot be reached, the transfer broke, or the server failed."""

    code: ClassVar[str] = "registry_unreachable"


class TooSlowError(TransientError):
    """The registry answers below the lowest rate."""

    code: ClassVar[str] = "too_slow"


class NotServedError(TransientError):
    """The registry does not serve a file: asking again at once is useless.

    Attributes:
        status: the HTTP status; 404 for a missing local file; 0 where neither says it.
    """

    code: ClassVar[str] = "not_served"

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ClockBehindError(TransientError):
    """The clock of the gateway was set back, or has not been set yet."""

    code: ClassVar[str] = "clock_behind"


class DiskFullError(TransientError):
    """There is no room for the bundle or for the metadata."""

    code: ClassVar[str] = "disk_full"


class StorageError(TransientError):
    """A local folder cannot be read or written, for another reason than its size."""

    code: ClassVar[str] = "storage"


class PullTimeoutError(TransientError):
    """The deadline has passed; what was received is kept and continued next time."""

    code: ClassVar[str] = "pull_timeout"


class PullCancelledError(TransientError):
    """The agent stops, or wants another bundle by now."""

    code: ClassVar[str] = "pull_cancelled"


class PullFailedError(TransientError):
    """The child did not start, or ended without saying how it went."""

    code: ClassVar[str] = "pull_failed"


_KINDS: Final[tuple[type[MillhandError], ...]] = (
    *UntrustedBundleError.__subclasses__(),
    DigestMismatchError,
    UnreachableError,
    TooSlowError,
    NotServedError,
    ClockBehindError,
    DiskFullError,
    StorageError,
)
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_KIND_BY_CODE: Final = {kind.code: kind for kind in _KINDS}


def error_of(code: str, message: str) -> MillhandError:
    """The error that the child named; an unknown code is a failed pull."""
    return _KIND_BY_CODE.get(code, PullFailedError)(message)


def storage_error(error: OSError, what: str) -> TransientError:
    """What an error of the local disk means: room is to be made, or the disk to be seen to.

    Args:
        error: as raised.
        what: the file or folder, for people.
    """
    if error.errno in _NO_ROOM:
        return DiskFullError(f"no room on the disk for {what}")
    return StorageError(f"{what}: {error.strerror or error}")
