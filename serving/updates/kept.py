"""Bundles that are kept on disk: loaded at once where they are known to have passed their proof."""

from collections.abc import Sequence

from models.bundle.identity import BundleRef
from models.errors import BundleError
from serving import log
from serving.errors import TransientError
from serving.model import Model, prove
from serving.updates.attempt import Tools


def load_kept(tools: Tools, ref: BundleRef, *, may_wait: bool) -> Model:
    """Load the model of a kept bundle.

    It is first proven in a child process, unless a record says that it has passed. Where there is
    no time for that, or no child can be started, it is loaded all the same, unless it has failed: a
    kept bundle has served here before, and a gateway must not stand still for want of a proof.

    Args:
        tools: store, prover and worker.
        ref: the bundle.
        may_wait: whether the caller may wait for a proof, which takes up to
            `serving.proof.request.ProofRequest.clock_s`.

    Raises:
        BundleError: the bundle is damaged, or has failed its proof.
    """
    tools.prover.check(ref.sha256)
    if may_wait:
        try:
            tools.prover.prove(ref.sha256, tools.store.path(ref), tools.worker.stopping)
        except TransientError as exc:
            log.warning("kept bundle is loaded without a proof", seq=ref.seq, reason=str(exc))
    return prove(tools.store.load(ref))


def prove_earlier(tools: Tools, refs: Sequence[BundleRef]) -> None:
    """On the worker: prove bundles that could be rolled back to, so that this is possible at once.

    What fails is remembered, and logged when it is needed.
    """
    for ref in refs:
        if tools.worker.stopping.is_set():
            return
        try:
            tools.prover.prove(ref.sha256, tools.store.path(ref), tools.worker.stopping)
        except BundleError as exc:
            log.warning("kept bundle failed its proof", seq=ref.seq, code=exc.code, reason=str(exc))
        except TransientError as exc:
            log.warning("kept bundle cannot be proven", seq=ref.seq, reason=str(exc))
