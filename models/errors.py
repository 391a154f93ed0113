"""The root of all errors, and the errors of readings and of bundles.

MillhandError
├── ReadingError                 drop the message, and count it by `reason`
│   └── DecodeError              its payload cannot be read
└── BundleError                  refuse the bundle; the model that serves goes on
    ├── ManifestError            the manifest is missing, malformed or not understood
    ├── DigestMismatchError      the bytes are not those that were published
    ├── UntrustedBundleError     the registry's signatures do not allow the bundle
    ├── IncompatibleBundleError  not for this stream, this agent or its own graph
    ├── GoldenMismatchError      the model does not answer as it did where it was trained
    └── ProofError               it did not pass its proof here, see serving.proof.refusals

Every class has a constant `code` from a bounded set. It labels counters and stands in `feedback`,
so a code is never renamed.
"""

from typing import ClassVar


class MillhandError(Exception):
    """Root of all errors that millhand raises on purpose; any other exception is a bug."""

    code: ClassVar[str] = "error"


class ReadingError(MillhandError):
    """A message that cannot be used. The caller drops and counts it, and goes on.

    Args:
        reason: code of the reason, from the bounded set of `models.input.reasons`.

    Attributes:
        reason: as given; it labels the counter of dropped messages.
    """

    code: ClassVar[str] = "reading"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DecodeError(ReadingError):
    """A payload that cannot be read, or a value in it.

    Args:
        reason: code of the reason, from the bounded set of `models.input.reasons`.
        word: the text that is none of a signal's states; empty for any other reason.

    Attributes:
        word: as given.
    """

    code: ClassVar[str] = "decode"

    def __init__(self, reason: str, word: str = "") -> None:
        super().__init__(reason)
        self.word = word


class BundleError(MillhandError):
    """A bundle is refused. The message says what was found, and what is allowed."""

    code: ClassVar[str] = "bundle_invalid"


class ManifestError(BundleError):
    """The manifest is missing, malformed, or has unknown keys or an unknown schema version."""

    code: ClassVar[str] = "manifest_invalid"


class DigestMismatchError(BundleError):
    """A digest or a size differs from the one in the manifest or in signed metadata."""

    code: ClassVar[str] = "digest_mismatch"


class UntrustedBundleError(BundleError):
    """The registry's signed metadata do not allow the bundle to run."""

    code: ClassVar[str] = "untrusted"


class IncompatibleBundleError(BundleError):
    """The bundle is intact, but does not fit this stream, this agent or its own graph."""

    code: ClassVar[str] = "incompatible"


class GoldenMismatchError(BundleError):
    """An output of the model for the golden windows differs by more than the tolerance."""

    code: ClassVar[str] = "golden_mismatch"
