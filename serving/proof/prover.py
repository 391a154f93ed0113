"""Proves bundles before they serve, each once: what is known from before is not done again."""

from pathlib import Path

from models.errors import BundleError, MillhandError
from serving import log
from serving.child import Flag
from serving.errors import TransientError
from serving.proof.records import MAX_REFUSED, Conditions, Record, Records
from serving.proof.refusals import InterruptedProofError, LatencyError, ProofError, error_of
from serving.proof.request import Evidence, ProofRequest
from serving.proof.settings import Proof
from serving.proof.trial import examine
from serving.runtime.graph import RUNTIME

MAX_INTERRUPTIONS = 2
"""Proofs of a bundle during which the machine or the program may end before it is refused."""


class Prover:
    """Proves bundles on this machine, and remembers the outcome.

    Args:
        folder: folder of the records, see `serving.proof.records`.
        limits: what a model may need.
        batch: number of windows in the largest batch that the program has answered at once.
    """

    def __init__(self, folder: Path, limits: Proof, batch: int) -> None:
        self._limits = limits
        self._batch = batch
        self._records = Records(folder, Conditions(runtime=RUNTIME, batch=batch, limits=limits))

    def check(self, sha256: str) -> None:
        """Refuse a bundle that has failed its proof and need not be proven again.

        Raises:
            BundleError: the bundle was refused; code and message are those of its proof.
        """
        record = self._records.find(sha256)
        if record is not None and (error := _final(record)) is not None:
            raise error

    def excuse(self) -> None:
        """Take back the last interruption of each proof: the program has died of something else.

        A proof may begin at every start. Without this, a model that ends the program while it
        serves would have the bundle refused that is to replace it.
        """
        for sha256, record in self._records.all():
            if record.state == "begun":
                left = record.model_copy(update={"tries": record.tries - 1})
                self._restore(sha256, left if left.tries > 0 else None)

    def refused(self) -> tuple[str, ...]:
        """Digests of the bundles that `check` refuses, the newest first, at most `MAX_REFUSED`."""
        found = (sha256 for sha256, record in self._records.all() if _final(record) is not None)
        return tuple(found)[:MAX_REFUSED]

    def prove(
        self, sha256: str, path: Path, cancelled: Flag
    ) -> tuple[Evidence | None, LatencyError | None]:
        """Prove a bundle in a child process, unless the outcome is known; blocks.

        Args:
            sha256: digest of the bundle.
            path: where it is.
            cancelled: event to set, on any thread, to end the proof.

        Returns:
            What was measured, None for a bundle that had passed before; and that it is slower than
            allowed, where that is no reason to refuse it.

        Raises:
            BundleError: the bundle is refused, now or before.
            TransientError: nothing is known of the bundle.
        """
        self.check(sha256)
        before = self._records.find(sha256)
        if before is not None and before.state == "passed":
            return None, None
        tries = 0 if before is None else before.tries
        self._note(sha256, "begun", tries + 1)
        try:
            evidence = examine(self._request(path), cancelled)
            slow = _too_slow(evidence, self._batch)
            if slow is not None and self._limits.latency == "refuse":
                raise slow
        except BundleError as exc:
            self._note(sha256, "refused", tries + 1, exc)
            raise
        except TransientError:
            self._restore(sha256, before)
            raise
        self._note(sha256, "passed", 0)
        return evidence, slow

    def sweep(self, kept: set[str]) -> None:
        """Remove records of bundles that are gone, see `Records.sweep`.

        Raises:
            OSError: the folder cannot be read or written.
        """
        self._records.sweep(kept)

    def _request(self, path: Path) -> ProofRequest:
        limits = self._limits
        return ProofRequest(
            path=path,
            batch=self._batch,
            seconds=limits.seconds,
            memory_bytes=limits.memory_bytes,
            latency_factor=limits.latency_factor,
            latency_ms=limits.latency_ms,
        )

    def _note(
        self, sha256: str, state: str, tries: int, error: MillhandError | None = None
    ) -> None:
        """Write a record; where the disk does not take it, the proof counts for this run only."""
        fields = {"conditions": self._records.conditions, "state": state, "tries": tries}
        if error is not None:
            fields |= {"error": error.code, "message": str(error)}
        try:
            self._records.write(sha256, Record.model_validate(fields))
        except OSError as exc:
            log.warning("proof cannot be recorded", sha256=sha256, reason=exc.strerror)

    def _restore(self, sha256: str, before: Record | None) -> None:
        """Forget that a proof has begun of which nothing is known."""
        try:
            if before is None:
                self._records.remove(sha256)
            else:
                self._records.write(sha256, before)
        except OSError as exc:
            log.warning("proof cannot be recorded", sha256=sha256, reason=exc.strerror)


def _final(record: Record) -> MillhandError | None:
    """The refusal that a record stands for; None if the bundle may be proven, or has passed."""
    if record.state == "begun" and record.tries >= MAX_INTERRUPTIONS:
        return InterruptedProofError(
            f"{record.tries} proofs of this bundle had begun when the machine or the program ended;"
            " it is not tried again here unless the limits under [proof] change"
        )
    if record.state != "refused":
        return None
    error = error_of(record.error, record.message)
    allowed = error.tries if isinstance(error, ProofError) else 1
    return error if record.tries >= allowed else None


def _too_slow(evidence: Evidence, batch: int) -> LatencyError | None:
    if evidence.latency_p99_ms <= evidence.latency_limit_ms:
        return None
    reached = ""
    if evidence.batch < batch:
        reached = f"; {evidence.batch} windows at a time take {evidence.batch_p50_ms:.3g} ms"
    return LatencyError(
        f"one window takes {evidence.latency_p99_ms:.3g} ms on this machine (p99){reached}; allowed"
        f" are {evidence.latency_limit_ms:.3g} ms (the bundle's budget times proof.latency_factor, "
        "or proof.latency_ms): raise that limit, or train a faster model"
    )
