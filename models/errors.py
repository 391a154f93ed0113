"""The error root, and the errors of a reading and of a bundle.

MillhandError
├── ReadingError                 one message is of no use: dropped and counted by `reason`
│   └── DecodeError              its payload cannot be read
└── BundleError                  a bundle is refused; what runs keeps running
    ├── ManifestError            the manifest does not say what it must
    ├── DigestMismatchError      the bytes are not those that were promised
    ├── UntrustedBundleError     nobody who may has signed it
    ├── IncompatibleBundleError  sound, but not for this stream, agent or graph
    └── GoldenMismatchError      the model does not answer as it did where it was trained

Every class has one constant `code` from a bounded set: it labels metrics and `feedback`.
"""

from typing import ClassVar


class MillhandError(Exception):
    """Root of all errors that millhand raises on purpose."""

    code: ClassVar[str] = "error"


class ReadingError(MillhandError):
    """One message of which no use can be made.

    Attributes:
        reason: why, from a bounded set: it labels the counter of dropped messages.
    """

    code: ClassVar[str] = "reading"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DecodeError(ReadingError):
    """A payload that cannot be read."""

    code: ClassVar[str] = "decode"


class BundleError(MillhandError):
    """A bundle that is refused: what was found, and what is allowed."""

    code: ClassVar[str] = "bundle_invalid"


class ManifestError(BundleError):
    """The manifest is missing, malformed, or has unknown keys or an unknown schema version."""

    code: ClassVar[str] = "manifest_invalid"


class DigestMismatchError(BundleError):
    """A digest or a size differs from the one that was promised."""

    code: ClassVar[str] = "digest_mismatch"


class UntrustedBundleError(BundleError):
    """The trust plane does not vouch for the bundle."""

    code: ClassVar[str] = "untrusted"


class IncompatibleBundleError(BundleError):
    """The bundle is sound, but not for this stream, this agent or its own graph."""

    code: ClassVar[str] = "incompatible"


class GoldenMismatchError(BundleError):
    """The model's outputs for the golden windows differ by more than the tolerance."""

    code: ClassVar[str] = "golden_mismatch"
