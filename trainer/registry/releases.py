"""What a registry holds and for how long it holds good, in plain values without TUF."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

from models.bundle.package import MAX_BUNDLE_BYTES, Bundle, read_bundle
from models.errors import MillhandError

_PATH: Final = re.compile(r"bundles/([^/]+)/(\d{1,16})/([0-9a-f]{64})\.zip")


class RegistryError(MillhandError):
    """The registry cannot be read, believed, or changed as asked; nothing was published."""

    code: ClassVar[str] = "registry"


@dataclass(frozen=True, slots=True)
class Validity:
    """How long signatures hold: the longest that a gateway can be kept from news unnoticed.

    Attributes:
        root: of the root.
        targets: of the list of bundles.
        online: of snapshot and timestamp; 30 days suit sites that are seldom connected.
    """

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=90)
    online: timedelta = timedelta(days=7)

    def of(self, role: str) -> timedelta:
        """That of one TUF role."""
        return {"root": self.root, "targets": self.targets}.get(role, self.online)

    def is_due(self, role: str, expires: datetime) -> bool:
        """Whether less than a third of the time is left."""
        return expires - datetime.now(UTC) < self.of(role) / 3


USUAL: Final = Validity()


@dataclass(frozen=True, slots=True)
class Release:
    """A published bundle.

    Attributes:
        stream: what it is for.
        seq: its number within the stream.
        sha256: of the whole archive.
        length: in bytes.
        floor_seq: no older bundle of the stream may run; the highest of a stream counts.
        revoked: withdrawn.
    """

    stream: str
    seq: int
    sha256: str
    length: int
    floor_seq: int = 0
    revoked: bool = False

    @property
    def path(self) -> str:
        """Where it lies below targets/."""
        return f"bundles/{self.stream}/{self.seq}/{self.sha256}.zip"

    @property
    def description(self) -> dict[str, object]:
        """What is signed beside path, length and digest."""
        return {
            "stream": self.stream,
            "seq": self.seq,
            "floor_seq": self.floor_seq,
            "revoked": self.revoked,
        }

    @classmethod
    def of(cls, bundle: Bundle, floor_seq: int | None) -> "Release":
        """The release that a bundle will be.

        Raises:
            RegistryError: the floor is above the bundle itself.
        """
        seq = bundle.manifest.seq
        if floor_seq is not None and not 0 <= floor_seq <= seq:
            raise RegistryError(
                f"floor_seq is {floor_seq}; allowed are 0 to the bundle's seq {seq}"
            )
        length = len(bundle.content)
        return cls(bundle.manifest.stream, seq, bundle.sha256, length, floor_seq or 0)

    @classmethod
    def listed(cls, path: str, length: int, description: Any) -> "Release | None":  # noqa: ANN401  any JSON
        """Read a signed entry; None if it is no bundle."""
        match = _PATH.fullmatch(path)
        if match is None or not isinstance(description, dict):
            return None
        floor_seq, revoked = description.get("floor_seq", 0), description.get("revoked", False)
        return cls(match[1], int(match[2]), match[3], length, int(floor_seq), bool(revoked))


@dataclass(frozen=True, slots=True)
class Standing:
    """When the registry's signatures end.

    Attributes:
        expires: by TUF role.
        warnings: what must be signed anew soon, and with which key.
    """

    expires: Mapping[str, datetime]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """The file to install on every gateway, by a way that is trusted for other reasons.

    Attributes:
        path: in the folder of keys.
        sha256: to be compared on the gateway.
        version: 1, and one more with every rotation or renewal.
    """

    path: Path
    sha256: str
    version: int


def read_release(path: Path) -> Bundle:
    """Read and verify a bundle that is to be published.

    Raises:
        RegistryError: the file cannot be read.
        BundleError: it is not sound.
    """
    try:
        with path.open("rb") as file:
            return read_bundle(file.read(MAX_BUNDLE_BYTES + 1))
    except OSError as exc:
        raise RegistryError(f"{path} cannot be read: {exc.strerror}") from exc


def find(releases: Iterable[Release], stream: str, seq: int) -> Release:
    """The release of that stream and seq.

    Raises:
        RegistryError: there is none; names the newest that there are.
    """
    published = {release.seq: release for release in releases if release.stream == stream}
    if seq not in published:
        newest = ", ".join(map(str, sorted(published)[-5:])) or "none"
        raise RegistryError(f"{stream} has no seq {seq}; the newest published: {newest}")
    return published[seq]


def check_seq(release: Release, releases: Iterable[Release]) -> None:
    """Refuse a bundle that gateways would take for an old one.

    Raises:
        RegistryError: its seq is not above the highest of the stream; names the next usable.
    """
    highest = max((r.seq for r in releases if r.stream == release.stream), default=0)
    if release.seq <= highest:
        raise RegistryError(
            f"{release.stream} seq {release.seq} is not above the highest published, {highest}:"
            f" train it with --seq {highest + 1}"
        )
