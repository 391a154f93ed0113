"""Why a bundle did not pass its proof: a class, with a constant code, for each kind of failure.

BundleError                    the bundle is refused; the model that serves goes on
└── ProofError                 it did not pass its proof on this machine
    ├── CrashError             the child was ended by a signal, such as a segmentation fault
    ├── MemoryLimitError       it needs more memory than `proof.memory_bytes`
    ├── CpuTimeError           it needs more time of the processor than `proof.seconds`
    ├── ClockTimeError         it was not finished in time, because the machine had other work
    ├── LatencyError           a window takes longer than allowed, and `proof.latency` is `refuse`
    └── InterruptedProofError  the machine or the program ended during the proof, repeatedly
TransientError                 nothing is known of the bundle; tried again with growing waits
├── ProofCancelledError        the program stops
└── ProofFailedError           the child cannot be started or limited, or ended by a bug

A bundle that is damaged, does not fit its manifest, or answers its golden vectors wrongly is
refused with the error of `models.errors` that says so.
"""

from typing import ClassVar, Final

from models.errors import BundleError, MillhandError
from serving.errors import TransientError


class ProofError(BundleError):
    """The bundle did not pass its proof on this machine.

    Attributes:
        tries: number of proofs that must fail so before the bundle is not proven again: 1 where a
            proof says all, 2 where other work of the machine may have had a part in it.
    """

    code: ClassVar[str] = "proof"
    tries: ClassVar[int] = 1


class CrashError(ProofError):
    """The child process was ended by a signal, as a segmentation fault or an abort."""

    code: ClassVar[str] = "proof_crashed"


class MemoryLimitError(ProofError):
    """The model needs more memory than it may have."""

    code: ClassVar[str] = "proof_memory"


class CpuTimeError(ProofError):
    """The model needs more time of the processor than it may have."""

    code: ClassVar[str] = "proof_cpu_time"


class ClockTimeError(ProofError):
    """The proof was not finished in time, though it had not used up its time of the processor."""

    code: ClassVar[str] = "proof_timeout"
    tries: ClassVar[int] = 2


class LatencyError(ProofError):
    """A window takes longer on this machine than is allowed."""

    code: ClassVar[str] = "proof_latency"
    tries: ClassVar[int] = 2


class InterruptedProofError(ProofError):
    """The machine or the program has ended during each of the last proofs of the bundle."""

    code: ClassVar[str] = "proof_interrupted"


class ProofCancelledError(TransientError):
    """The program stops; the proof is made after its next start."""

    code: ClassVar[str] = "proof_cancelled"


class ProofFailedError(TransientError):
    """The child cannot be started or limited, or has ended by a bug; nothing is known."""

    code: ClassVar[str] = "proof_failed"


def _family(kind: type[BundleError]) -> list[type[BundleError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in _family(child))]


_KINDS: Final = {kind.code: kind for kind in _family(BundleError)}


def error_of(code: str, message: str) -> MillhandError:
    """Build the error that a child process or a record on disk names by its code.

    Args:
        code: code of a BundleError. Another one gives a ProofFailedError.
        message: text of the error, for people.
    """
    return _KINDS.get(code, ProofFailedError)(message)
