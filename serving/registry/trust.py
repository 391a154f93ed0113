"""The trust plane on the gateway: which bundles are signed, by whom, how lately, and for what.

TUF (theupdateframework.io) does the signatures, versions and expiries. Three things that it leaves
open are closed around it: the clock and the lost cache by `serving.registry.high_water_mark`, the
download by `serving.registry.download`. docs/adr/0002-tuf-registry.md has the reasons.

Nothing here decides what to run: a push only selects among what is signed. The only importer of tuf
on this side; the serving agent does not import this file, its child `serving.registry.pull_child`
does.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadHTTPError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater

from models.errors import DigestMismatchError, MillhandError
from serving.registry.catalogue import SignedFile, Target, select
from serving.registry.download import Progress, Promised, download
from serving.registry.fetch import Fetcher
from serving.registry.high_water_mark import HighWaterMark, Role
from serving.registry.refusals import (
    ExpiredError,
    MetadataError,
    NotServedError,
    RollbackError,
    TrustAnchorError,
    UnsignedError,
    storage_error,
)

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)

MAX_ROOT_BYTES: Final = 512_000
_REFUSALS: Final[tuple[tuple[type[RepositoryError], type[MillhandError]], ...]] = (
    (UnsignedMetadataError, UnsignedError),
    (BadVersionNumberError, RollbackError),
    (ExpiredMetadataError, ExpiredError),
    (LengthOrHashMismatchError, DigestMismatchError),
    (RepositoryError, MetadataError),
)


@contextmanager
def exclusive(state_dir: Path) -> Iterator[None]:
    """Keep out other pulls on the same state: TUF's cache stands one user at a time.

    It waits for them; the wait ends with the pull's own deadline.

    Raises:
        StorageError, DiskFullError: the state directory cannot be written.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        # The folder itself, not a file in it: a `check` by root must not leave one of root's own.
        lock = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as exc:
        raise storage_error(exc, str(state_dir)) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


class TrustedRegistry:
    """A registry seen from a trusted root. Use within `exclusive`, and once: refresh, then select.

    Args:
        url: of the folder with metadata/ and targets/.
        root: the root metadata that the operator installed: the origin of all trust.
        state_dir: for the cache registry/ and the watermark trust.json.
        fetcher: brings the bytes.
        max_bytes: longest bundle that the operator allows.
    """

    def __init__(
        self, url: str, root: Path, state_dir: Path, *, fetcher: Fetcher, max_bytes: int
    ) -> None:
        self._url = url.rstrip("/")
        self._root = root
        self._cache = state_dir / "registry"
        self._high_water_mark = state_dir / "trust.json"
        self._fetcher = fetcher
        self._max_bytes = max_bytes
        self._files: tuple[SignedFile, ...] = ()

    def refresh(self) -> None:
        """Bring the metadata up to date, and verify it from the trusted root downwards.

        Raises:
            UntrustedBundleError: one of its kinds in serving.registry.refusals names the attack.
            DigestMismatchError: metadata of different publications was mixed.
            TransientError: registry, disk or clock are not there now.
        """
        now = datetime.now(UTC)
        try:
            high_water_mark = HighWaterMark.read(self._high_water_mark)
            high_water_mark.check_clock(now)
            self._cache.mkdir(parents=True, exist_ok=True)
            for left_over in self._cache.glob("tmp*"):  # of a child that was killed
                left_over.unlink()
            self._update()
            high_water_mark.raised(self._seen_roles(), now).write(self._high_water_mark)
            self._files = tuple(map(_signed_file, self._verified(Targets).targets.values()))
        except OSError as exc:
            raise storage_error(exc, str(self._cache.parent)) from exc

    def select(self, stream: str, seq: int | None = None) -> Target:
        """Find the bundle of a stream that may run: `seq`, or the newest that may if None.

        Raises:
            UntrustedBundleError: why it may not; see `serving.registry.catalogue.select`.
        """
        return select(self._files, stream, seq, max_bytes=self._max_bytes)

    def download(self, target: Target, folder: Path, on_progress: Progress) -> Path:
        """Bring a selected bundle into `folder` as <sha256>.zip.

        Raises:
            MillhandError: see `serving.registry.download.download`.
        """
        ref = target.ref
        promised = Promised(f"{self._url}/targets/{target.path}", ref.sha256, ref.size)
        destination = folder / ref.file_name
        download(promised, destination, fetcher=self._fetcher, on_progress=on_progress)
        return destination

    def _update(self) -> None:
        """Run TUF's client workflow, with the operator's root as the bootstrap."""
        trusted_root = self._trusted_root()
        url, fetcher = f"{self._url}/metadata/", _MetadataFetcher(self._fetcher)
        try:
            updater = Updater(str(self._cache), url, fetcher=fetcher, bootstrap=trusted_root)
        except RepositoryError as exc:
            raise TrustAnchorError(f"{self._root} is no trusted root metadata: {exc}") from exc
        try:
            updater.refresh()
        except DownloadHTTPError as exc:
            raise NotServedError(str(exc), exc.status_code) from exc
        except RepositoryError as exc:
            raise _refusal(exc) from exc

    def _trusted_root(self) -> bytes:
        try:
            with self._root.open("rb") as file:
                return file.read(MAX_ROOT_BYTES)
        except OSError as exc:
            message = f"{self._root} ([registry] root) cannot be read: {exc.strerror}"
            raise TrustAnchorError(message) from exc

    def _seen_roles(self) -> dict[str, Role]:
        root = self._verified(Root)
        rest = (self._verified(Timestamp), self._verified(Snapshot), self._verified(Targets))
        return {"root": Role(root.version)} | {
            signed.type: Role(signed.version, frozenset(root.roles[signed.type].keyids))
            for signed in rest
        }

    def _verified(self, kind: type[S]) -> S:
        """Metadata as `_update` has just verified and stored it.

        Updater offers no list of targets, so its cache is read; who could change it in between
        could change this program as well.
        """
        return Metadata[S].from_bytes((self._cache / f"{kind.type}.json").read_bytes()).signed


class _MetadataFetcher(FetcherInterface):
    """Our fetcher as TUF wants it, without TUF's detour through the system's temporary folder."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def download_bytes(self, url: str, max_length: int) -> bytes:
        try:
            return self._fetcher.read(url, max_length)
        except NotServedError as exc:
            # TUF asks for the root after the newest, and takes a 404 or 403 as "there is none".
            raise DownloadHTTPError(str(exc), exc.status) from exc

    def _fetch(self, url: str) -> Iterator[bytes]:
        raise NotImplementedError(url)  # what would call it is replaced above


def _signed_file(file: TargetFile) -> SignedFile:
    return SignedFile(file.path, file.hashes.get("sha256"), file.length, file.custom)


def _refusal(error: RepositoryError) -> MillhandError:
    refusal = next(ours for theirs, ours in _REFUSALS if isinstance(error, theirs))
    if refusal is ExpiredError:
        return ExpiredError(
            f"{error}; the gateway's clock says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. The"
            " publisher must sign anew (millhand-trainer registry refresh)"
        )
    return refusal(f"registry metadata is refused: {error}")
