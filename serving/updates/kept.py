"""Bundles on disk: which may serve (ADR 23), and how they are loaded once they have passed."""

from collections.abc import Sequence
from typing import Final

from models.bundle.identity import BundleRef
from models.errors import MillhandError
from serving import log
from serving.errors import TransientError
from serving.model import Model
from serving.updates.attempt import Tools

KILLED: Final = "killed"
"""Code of a bundle that is in quarantine because the program has died of its model."""


class KeptBundles:
    """Chooses among the bundles on disk.

    Args:
        tools: store, prover and worker, and what earlier runs of the program have died of.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._store = tools.store
        self._account = tools.account

    def tidy_up(self) -> None:
        """Remove bundles and proofs that nothing names, before anything is fetched."""
        store, prover = self._store, self._tools.prover
        self._tools.freshness.begin(store.state_dir)
        try:
            store.sweep()
            prover.sweep(store.digests())
        except OSError as exc:
            log.warning("bundles cannot be tidied up", reason=exc.strerror)
        if self._account.suspect:
            prover.excuse()

    def fit(
        self, kept: Sequence[BundleRef]
    ) -> tuple[Sequence[BundleRef], Sequence[tuple[BundleRef, str]]]:
        """Find those that may serve, as the last run has ended; reads and writes files.

        One that served last goes on though its publisher has withdrawn it, until another is
        selected. One that served before does not come back then.

        Args:
            kept: bundles on disk, best first.

        Returns:
            Those that may serve, best first; and those that go into quarantine now because the
            program has died of them too often, each with the reason in words.
        """
        account = self._account
        sound = [ref for ref in kept if account.quarantine.get(ref.sha256) is None]
        last = [ref for ref in sound if ref == kept[0]]
        fit = [*last, *self._allowed([ref for ref in sound if ref not in last])]
        killed = []
        for ref in tuple(fit):
            if account.is_deadly(ref, has_other=len(fit) > 1):
                deaths = account.deaths.of_model(ref.sha256)
                message = f"the program has died {deaths} times of this model"
                self.put_aside(ref, KILLED, message)
                killed.append((ref, message))
                fit.remove(ref)
        return fit, killed

    def others(self, failing: BundleRef) -> Sequence[BundleRef]:
        """Bundles of the same stream that may serve instead of one that fails, best first."""
        active = self._store.active(failing.stream)
        unfit = {one.sha256 for one in self._account.quarantine.known(failing.stream)}
        unfit.add(failing.sha256)
        candidates = active.candidates if active is not None else ()
        return self._allowed([ref for ref in candidates if ref.sha256 not in unfit])

    def replace(
        self, failed: BundleRef, serving: BundleRef, pinned: int | None, code: str, message: str
    ) -> None:
        """Record that one bundle serves instead of another; waits for the disk: for the worker.

        Args:
            failed: the bundle that goes into quarantine.
            serving: the bundle that serves instead, also after a restart.
            pinned: seq that a push has selected; None follows the newest that is published.
            code: code of what the model has failed with.
            message: the same in words.
        """
        self.put_aside(failed, code, message)
        quarantined = self._account.quarantine.known(failed.stream)
        try:
            self._store.commit(serving, pinned, {one.sha256 for one in quarantined})
        except OSError as exc:
            log.error("roll back cannot be recorded", reason=exc.strerror)

    def load(self, ref: BundleRef, *, may_wait: bool) -> Model:
        """Load the model of a kept bundle.

        It is first proven in a child process, unless a record says that it has passed. Where there
        is no time for that, or no child can be started, it is loaded all the same, unless it has
        failed: it has served here before, and a gateway must not stand still for want of a proof.

        Args:
            ref: the bundle.
            may_wait: whether the caller may wait for a proof, which takes up to
                `serving.proof.request.ProofRequest.clock_s`.

        Raises:
            BundleError: the bundle is damaged, or has failed its proof.
        """
        tools = self._tools
        tools.prover.check(ref.sha256)
        if may_wait:
            try:
                tools.prover.prove(ref.sha256, tools.store.path(ref), tools.worker.stopping)
            except TransientError as exc:
                log.warning("kept bundle is loaded without a proof", seq=ref.seq, reason=str(exc))
        return tools.load(ref, tools.store.load(ref))

    def prove(self, refs: Sequence[BundleRef]) -> None:
        """On the worker: prove bundles that could be rolled back to, so that this is quick then.

        What fails is remembered, and logged when it is needed.
        """
        tools = self._tools
        for ref in refs:
            if tools.worker.stopping.is_set():
                return
            try:
                tools.prover.prove(ref.sha256, tools.store.path(ref), tools.worker.stopping)
            except MillhandError as exc:
                log.warning(
                    "kept bundle is not proven", seq=ref.seq, code=exc.code, reason=str(exc)
                )

    def _allowed(self, refs: Sequence[BundleRef]) -> list[BundleRef]:
        """Those that their publisher has not withdrawn, as far as the last look has told."""
        allowed = []
        for ref in refs:
            if ref.sha256 in self._store.withdrawn(ref.stream):
                log.warning("withdrawn bundle is left out", stream=ref.stream, seq=ref.seq)
            else:
                allowed.append(ref)
        return allowed

    def put_aside(self, ref: BundleRef, code: str, message: str) -> None:
        """Put a bundle into quarantine; waits for the disk."""
        log.error("bundle in quarantine", stream=ref.stream, seq=ref.seq, code=code, reason=message)
        try:
            self._account.quarantine.add(ref, code, message)
        except OSError as exc:
            log.error("quarantine cannot be recorded", reason=exc.strerror)
