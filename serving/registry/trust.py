"""The TUF client: it verifies the metadata of a registry, and finds the bundles that are signed.

python-tuf verifies signatures, versions and expiry (TUF specification, 5). Three things that it
leaves open are handled beside it: a clock that was set back and a lost cache by
`serving.registry.high_water_mark`, and the download by `serving.registry.download`. ADR 2 has the
reasons.

A desired state cannot make a gateway run anything that is not signed: it only selects among the
signed bundles. Of the programs that serve, only the child process `serving.registry.pull_child`
imports this file, and with it tuf.
"""

import fcntl
import os
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from tuf.api.exceptions import (
    DownloadHTTPError,
    RepositoryError,
)
from tuf.api.metadata import (
    Metadata,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.ngclient import FetcherInterface, Updater

from models.bundle.stream_list import pattern_of, role_of
from models.rollout.files import planned
from serving.registry.answers import check_form
from serving.registry.catalogue import (
    Here,
    SignedFile,
    Target,
    check_list,
    select,
    withdrawn,
)
from serving.registry.download import Progress, Promised, download
from serving.registry.fetch import Fetcher
from serving.registry.high_water_mark import HighWaterMark, Role
from serving.registry.metadata.delegation import delegated
from serving.registry.metadata.refused import ours
from serving.registry.refusals import (
    MetadataError,
    NotServedError,
    TrustAnchorError,
    storage_error,
)

if TYPE_CHECKING:
    from serving.registry.rollouts import SignedRollout

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)

MAX_ROOT_BYTES: Final = 512_000
"""Bytes of the root metadata at most, as python-tuf limits it (`UpdaterConfig.root_max_length`)."""
_ZIP: Final = b"PK\x03\x04"  # every bundle begins like this (APPNOTE.TXT, 4.3.7)


@contextmanager
def exclusive(state_dir: Path) -> Iterator[None]:
    """Lock the state directory against other pulls, because TUF's cache allows one user at a time.

    It blocks until they have ended; the deadline of the pull bounds the wait.

    Args:
        state_dir: folder to lock; it is made if it does not exist.

    Raises:
        StorageError, DiskFullError: the state directory cannot be written.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        # The folder itself is locked: a lock file made by root, by `millhand-agent check`, could
        # not be opened by the service afterwards.
        lock = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as exc:
        raise storage_error(exc, str(state_dir)) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


class TrustedRegistry:
    """A registry, verified from a trusted root.

    Use an object once, within `exclusive`: call `refresh`, then `select`, then `download`. All of
    them block.

    Args:
        url: address of the folder that has metadata/ and targets/.
        root: path of the root metadata that the operator has installed, from which all trust comes.
        state_dir: folder for the metadata cache registry/ and the high-water mark trust.json.
        fetcher: fetcher that reads the files of the registry.
        here: what this gateway allows, beside what the publisher does.
    """

    def __init__(
        self, url: str, root: Path, state_dir: Path, *, fetcher: Fetcher, here: Here
    ) -> None:
        self._url = url.rstrip("/")
        self._root = root
        self._cache = state_dir / "registry"
        self._high_water_mark = state_dir / "trust.json"
        self._fetcher = fetcher
        self._here = here
        self._files: tuple[SignedFile, ...] = ()
        self._lists: dict[str, tuple[SignedFile, ...]] = {}
        self._updater: Updater | None = None

    def refresh(self) -> None:
        """Download the newest metadata, and verify it from the trusted root downwards.

        It is the client workflow of the TUF specification (5), between two checks of the high-water
        mark: of the clock before it, and of the versions after it.

        Raises:
            UntrustedBundleError: the metadata is refused; the class names the attack.
            DigestMismatchError: metadata of different publications is mixed.
            TransientError: registry, disk or clock cannot be used now.
        """
        now = datetime.now(UTC)
        try:
            high_water_mark = HighWaterMark.read(self._high_water_mark)
            high_water_mark.check_clock(now)
            self._cache.mkdir(parents=True, exist_ok=True)
            for left_over in self._cache.glob("tmp*"):  # tuf's, of a child that was killed
                left_over.unlink()
            self._update()
            high_water_mark.raised(self._seen_roles(), now).write(self._high_water_mark)
            self._files = tuple(map(_signed_file, self._verified(Targets).targets.values()))
        except OSError as exc:
            raise storage_error(exc, str(self._cache.parent)) from exc

    def files(self, stream: str) -> tuple[SignedFile, ...]:
        """All target files that the publisher has signed for a stream, and those for all streams.

        Where the registry has a list of bundles for each stream, that of the stream is fetched and
        verified at the first call; the lists of other streams are not.

        Raises:
            MillhandError: see `refresh`.
        """
        if stream not in self._lists:
            try:
                self._lists[stream] = self._list(stream)
            except OSError as exc:
                raise storage_error(exc, str(self._cache.parent)) from exc
        return self._files + self._lists[stream]

    def rollout(self, stream: str) -> "SignedRollout | None":
        """The last rollout of a stream; None if none was ever planned.

        Raises:
            MillhandError: see `serving.registry.rollouts.RolloutReader.read`.
        """
        if not any((planned(one.path) or ("",))[0] == stream for one in self._files):
            return None
        # Most pulls end here, and pydantic takes longer to load than the rest of the child.
        from serving.registry.rollouts import RolloutReader  # noqa: PLC0415  see above

        reader = RolloutReader(
            self._files,
            self._find,
            f"{self._url}/targets",
            self._fetcher,
            self._cache,
            self._high_water_mark,
        )
        try:
            return reader.read(stream)
        except OSError as exc:
            raise storage_error(exc, str(self._cache.parent)) from exc

    def select(self, stream: str, seq: int | None = None) -> Target:
        """Select a bundle among those that are signed; see `serving.registry.catalogue.select`.

        Args:
            stream: stream of the bundle.
            seq: number of the bundle; None for the newest that may run.

        Raises:
            UntrustedBundleError: the bundle may not run, or does not exist.
        """
        return select(self.files(stream), stream, seq, self._here)

    def withdrawn(self, stream: str, kept: AbstractSet[str]) -> list[str]:
        """Find what was withdrawn of what is on disk; see `serving.registry.catalogue.withdrawn`.

        Args:
            stream: stream of the bundles.
            kept: digests of the bundles on disk.

        Raises:
            UntrustedBundleError: what is signed for the stream contradicts itself.
        """
        return withdrawn(self.files(stream), stream, kept)

    def download(self, target: Target, folder: Path, on_progress: Progress) -> Path:
        """Download a selected bundle into a folder, and return its path, <sha256>.zip.

        Args:
            target: bundle that `select` returned.
            folder: folder of the file; it is made if it does not exist.
            on_progress: called with the bytes received and those of the whole bundle.

        Raises:
            MillhandError: see `serving.registry.download.download`.
        """
        ref = target.ref
        promised = Promised(f"{self._url}/targets/{target.path}", ref.sha256, ref.size, _ZIP)
        destination = folder / ref.file_name
        download(promised, destination, fetcher=self._fetcher, on_progress=on_progress)
        return destination

    def _update(self) -> None:
        """Run TUF's client workflow; trust begins with the root that the operator installed."""
        trusted_root = self._trusted_root()
        url = f"{self._url}/metadata/"
        fetcher = _MetadataFetcher(self._fetcher, self._here.max_list_bytes)
        try:
            updater = Updater(str(self._cache), url, fetcher=fetcher, bootstrap=trusted_root)
        except RepositoryError as exc:
            raise TrustAnchorError(
                f"{self._root} ([registry] root) is not trusted root metadata: {exc}"
            ) from exc
        with ours():
            updater.refresh()
        self._updater = updater

    def _list(self, stream: str) -> tuple[SignedFile, ...]:
        """The files of the stream's own list; none where the registry has one list for all."""
        mark, name = HighWaterMark.read(self._high_water_mark), role_of(stream)
        role = delegated(self._verified(Targets), stream)
        if role is None:
            mark.check_gone(name, self._verified(Root).roles[Targets.type].keyids)
            return ()
        # tuf loads a list on the way to a file only: to this one, whose name nothing can have.
        self._find(pattern_of(stream))
        found = self._verified(Targets, name)
        seen = {name: Role(found.version, frozenset(role.keyids))}
        raised = mark.raised(seen, datetime.now(UTC))
        if raised.roles != mark.roles:
            raised.write(self._high_water_mark)
        if found.delegations is not None:
            raise MetadataError(f"{name} lets others sign bundles, which no publisher does")
        return check_list(tuple(map(_signed_file, found.targets.values())), stream)

    def _find(self, path: str) -> SignedFile | None:
        """A target file by its path, in delegated roles as well (TUF specification, 5.6.7)."""
        assert self._updater is not None  # noqa: S101  `refresh` comes first
        with ours():
            found = self._updater.get_targetinfo(path)
        return _signed_file(found) if found is not None else None

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

    def _verified(self, kind: type[S], name: str = "") -> S:
        """Metadata that tuf has just verified and stored; of a delegated role by its name.

        tuf's Updater has no list of all targets, so its cache is read. Whoever could change the
        cache in between could change this program as well.
        """
        path = self._cache / f"{name or kind.type}.json"
        return Metadata[S].from_bytes(path.read_bytes()).signed


class _MetadataFetcher(FetcherInterface):
    """Our fetcher with the interface of tuf, whose own writes to the system's temporary folder."""

    def __init__(self, fetcher: Fetcher, max_bytes: int) -> None:
        self._fetcher = fetcher
        self._max_bytes = max_bytes

    def download_bytes(self, url: str, max_length: int) -> bytes:
        # tuf takes the length that is signed, and the online key could sign any.
        max_length = min(max_length, self._max_bytes)
        try:
            content = self._fetcher.read(url, max_length + 1)
        except NotServedError as exc:
            # tuf asks for root versions until one does not exist: status 404 or 403 (5.3.3).
            raise DownloadHTTPError(str(exc), exc.status) from exc
        check_form(content, max_length, url)
        return content

    def _fetch(self, url: str) -> Iterator[bytes]:
        raise NotImplementedError(url)  # only the default of download_bytes would call it


def _signed_file(file: TargetFile) -> SignedFile:
    return SignedFile(file.path, file.hashes.get("sha256"), file.length, file.custom)
