"""Errors of tuf as those of the registry, with a code for each attack."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadHTTPError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)

from models.errors import DigestMismatchError, MillhandError
from serving.registry.refusals import (
    ExpiredError,
    MetadataError,
    NotServedError,
    RollbackError,
    UnsignedError,
)

_REFUSALS: Final[tuple[tuple[type[RepositoryError], type[MillhandError]], ...]] = (
    (UnsignedMetadataError, UnsignedError),
    (BadVersionNumberError, RollbackError),
    (ExpiredMetadataError, ExpiredError),
    (LengthOrHashMismatchError, DigestMismatchError),
    (RepositoryError, MetadataError),
)


@contextmanager
def ours() -> Iterator[None]:
    """Raise errors of tuf as ours."""
    try:
        yield
    except DownloadHTTPError as exc:
        cause = exc.__cause__  # it is ours: see `serving.registry.trust`
        if not isinstance(cause, NotServedError):
            raise
        raise cause from exc
    except RepositoryError as exc:
        raise _refusal(exc) from exc


def _refusal(error: RepositoryError) -> MillhandError:
    refusal = next(ours for theirs, ours in _REFUSALS if isinstance(error, theirs))
    if refusal is ExpiredError:
        return ExpiredError(
            f"{error}; the gateway's clock says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. The"
            " publisher must sign anew (millhand-trainer registry refresh)"
        )
    return refusal(f"the registry's metadata is refused: {error}")
