"""The contents of a registry, and how long its signatures are valid, as values without TUF."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

from models.bundle.package import MAX_BUNDLE_BYTES, Bundle, read_bundle
from models.bundle.stream_list import stream_of
from models.errors import BundleError, MillhandError

_PATH: Final = re.compile(
    r"bundles/([A-Za-z0-9][A-Za-z0-9._-]{0,63})/([1-9][0-9]{0,15})/([0-9a-f]{64})\.zip"
)
_OURS: Final = "bundles/"


class RegistryError(MillhandError):
    """The registry cannot be read, verified or changed as asked; nothing was published."""

    code: ClassVar[str] = "registry"


@dataclass(frozen=True, slots=True)
class Validity:
    """How long signatures are valid.

    Whoever controls the way to a gateway can hold back new metadata for so long, and no longer,
    without the gateway noticing (a freeze attack, TUF specification, section 1.5.2).

    Attributes:
        root: validity of the root metadata.
        targets: validity of the list of bundles.
        online: validity of snapshot and timestamp; 30 days suit sites that are seldom connected.
    """

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=90)
    online: timedelta = timedelta(days=7)

    def of(self, role: str) -> timedelta:
        """The validity of the metadata of one TUF role."""
        name = "targets" if stream_of(role) is not None else role
        return {"root": self.root, "targets": self.targets}.get(name, self.online)

    def is_due(self, role: str, expires: datetime) -> bool:
        """Whether metadata of `role` that expires then should be signed anew: a third is left."""
        return expires - datetime.now(UTC) < self.of(role) / 3


DEFAULT_VALIDITY: Final = Validity()


@dataclass(frozen=True, slots=True)
class Release:
    """A published bundle.

    Attributes:
        stream: name of the stream.
        seq: number of the bundle within its stream.
        sha256: digest of the whole archive, hexadecimal.
        length: size of the archive, bytes.
        floor_seq: gateways run no bundle of the stream with a lower seq; the highest `floor_seq`
            of a stream counts.
        revoked: whether the bundle was withdrawn.
        missing: number of signatures that are still missing before gateways see this; 0 for all
            that is published.
    """

    stream: str
    seq: int
    sha256: str
    length: int
    floor_seq: int = 0
    revoked: bool = False
    missing: int = 0

    @property
    def facts(self) -> dict[str, object]:
        """What the audit trail says of it."""
        return {**self.description, "sha256": self.sha256, "bytes": self.length}

    @property
    def path(self) -> str:
        """Path of the archive below targets/."""
        return f"bundles/{self.stream}/{self.seq}/{self.sha256}.zip"

    @property
    def description(self) -> dict[str, object]:
        """The custom data that is signed beside path, length and digest."""
        return {
            "stream": self.stream,
            "seq": self.seq,
            "floor_seq": self.floor_seq,
            "revoked": self.revoked,
        }

    @classmethod
    def from_bundle(cls, bundle: Bundle, floor_seq: int | None) -> "Release":
        """The release of a bundle that is to be published.

        Raises:
            RegistryError: `floor_seq` is above the seq of the bundle.
        """
        seq = bundle.manifest.seq
        if floor_seq is not None and not 0 <= floor_seq <= seq:
            raise RegistryError(
                f"floor_seq is {floor_seq}; allowed are 0 to the bundle's seq {seq}"
            )
        length = bundle.size
        return cls(bundle.manifest.stream, seq, bundle.sha256, length, floor_seq or 0)

    @classmethod
    def from_target(cls, path: str, length: int, description: Any) -> "Release | None":  # noqa: ANN401  any JSON
        """Read an entry of the signed list; None if it is not a bundle.

        Raises:
            RegistryError: the entry is among the bundles, but not what a publisher writes; gateways
                refuse the whole stream then.
        """
        if not path.startswith(_OURS):
            return None
        match = _PATH.fullmatch(path)
        custom = description if isinstance(description, dict) else {}
        floor_seq, revoked = custom.get("floor_seq", 0), custom.get("revoked", False)
        # Exact types: in Python True is an int, and JSON's 1.0 is equal to 1.
        if match is None or (type(length), type(floor_seq), type(revoked)) != (int, int, bool):
            raise RegistryError(
                f"the list of bundles has an entry that is none: {path!r:.200} with {custom!r:.200}"
            )
        return cls(match[1], int(match[2]), match[3], length, floor_seq, revoked)


@dataclass(frozen=True, slots=True)
class SignatureStatus:
    """When the registry's signatures expire.

    Attributes:
        expires: time of expiry, by TUF role.
        warnings: sentences on metadata that must be signed anew soon, with the key it needs.
        missing: number of signatures that are missing of what was proposed; 0 if nothing was.
    """

    expires: Mapping[str, datetime]
    warnings: tuple[str, ...]
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Divided:
    """A registry whose streams were given lists of their own, or were put back into one.

    Attributes:
        streams: number of streams whose bundles were moved.
        missing: number of signatures that are missing before gateways see it.
    """

    streams: int
    missing: int = 0


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """The root metadata, which must come to every gateway by a way that is trusted already.

    Attributes:
        path: path of the file in the folder of keys.
        sha256: digest of the file, hexadecimal, to be compared on the gateway.
        version: version of the root; it starts at 1 and grows with every rotation or renewal.
    """

    path: Path
    sha256: str
    version: int


def read_release(path: Path) -> Bundle:
    """Read and verify a bundle that is to be published.

    Raises:
        RegistryError: the file cannot be read.
        BundleError: the bundle is invalid.
    """
    try:
        if (size := path.stat().st_size) > MAX_BUNDLE_BYTES:
            raise BundleError(f"{path} has {size} bytes, cap {MAX_BUNDLE_BYTES}")
        return read_bundle(path.read_bytes())
    except OSError as exc:
        raise RegistryError(f"{path} cannot be read: {exc.strerror}") from exc


def find(releases: Iterable[Release], stream: str, seq: int) -> Release:
    """Find the release of a stream by its seq.

    Raises:
        RegistryError: there is none; the message has the newest ones.
    """
    published = {release.seq: release for release in releases if release.stream == stream}
    if seq not in published:
        newest = ", ".join(map(str, sorted(published)[-5:])) or "none"
        raise RegistryError(f"{stream} has no seq {seq}; the newest published: {newest}")
    return published[seq]


def check_seq(release: Release, releases: Iterable[Release]) -> None:
    """Refuse a bundle that gateways would take for an old one.

    Raises:
        RegistryError: its seq is not above the highest of the stream; the message has the next one.
    """
    highest = max((r.seq for r in releases if r.stream == release.stream), default=0)
    if release.seq <= highest:
        raise RegistryError(
            f"{release.stream} seq {release.seq} is not above the highest published, {highest}:"
            f" train it with --seq {highest + 1}"
        )


def check_new(release: Release, releases: Sequence[Release]) -> None:
    """Refuse a bundle that need not be given along with a plan, or see `check_seq`.

    Raises:
        RegistryError: it is published already, or its seq is not above the highest of the stream.
    """
    if any(one.sha256 == release.sha256 for one in releases):
        raise RegistryError(
            f"{release.stream} seq {release.seq} is published already, with this content: leave out"
            " --bundle, and the plan alone is signed"
        )
    check_seq(release, releases)
