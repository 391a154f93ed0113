"""The reference to a bundle, by which it is named from the registry to the slot that serves it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BundleRef:
    """A reference to a bundle. Two of them are equal if they name the same bytes for a stream.

    Attributes:
        stream: stream that the bundle is made for.
        seq: number of the bundle within its stream, from 1; a newer bundle has a higher one.
        sha256: digest of the whole archive, 64 hexadecimal digits.
        size: bytes of the archive; 0 where it is not known.
        version: semantic version from the manifest, for people; empty until that has been read.
    """

    stream: str
    seq: int
    sha256: str
    size: int = field(default=0, compare=False)
    version: str = field(default="", compare=False)

    @property
    def file_name(self) -> str:
        """Name of the bundle on disk: no name from outside becomes a path, only the digest."""
        return f"{self.sha256}.zip"

    def __str__(self) -> str:
        return f"{self.stream}#{self.seq}"
