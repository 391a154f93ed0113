"""The documents that say what a stream runs, and why another one does not, from its update."""

from collections.abc import Iterable
from typing import Any

from models.bundle.identity import BundleRef
from models.control.document import MAX_MESSAGE
from models.control.documents import Current, Feedback, QuarantinedBundle
from serving.failure import Failure
from serving.incidents.quarantine import Quarantined
from serving.updates.update import Update


def current_of(update: Update, quarantined: Iterable[Quarantined]) -> Current:
    """What a stream runs, and which of its bundles must not serve.

    Args:
        update: the update of the stream.
        quarantined: its bundles in quarantine.
    """
    ref = update.serving
    fields: dict[str, Any] = {"stream": update.desired.stream, "state": "waiting", "seq": None}
    if ref is not None:
        fields |= {"state": "serving", "seq": ref.seq}
        fields |= {"version": ref.version, "sha256": ref.sha256}
    shown = [
        QuarantinedBundle.model_construct(seq=one.seq, sha256=one.sha256, code=one.code)
        for one in quarantined
    ]
    if shown:
        fields["quarantined"] = shown
    if update.degraded is not None and update.degraded.ref == ref:
        fields |= _degraded(update.degraded.failure)
    return Current.model_construct(**fields, activity=update.activity)


def rolled_back(update: Update, ref: BundleRef, code: str, message: str) -> Feedback:
    """Why a bundle serves no more.

    Args:
        update: the update of its stream, by which another one serves now, or none.
        ref: the bundle.
        code: why, as a code.
        message: why, in words.
    """
    return Feedback.model_construct(
        activity=update.activity,
        stream=ref.stream,
        seq=update.serving.seq if update.serving is not None else None,
        state="rolled_back",
        error=code,
        message=f"{ref}: {message}"[:MAX_MESSAGE],
    )


def _degraded(failure: Failure) -> dict[str, object]:
    """The fields that say that a model is degraded."""
    return {
        "state": "degraded",
        "reason": failure.error.code,
        "message": str(failure.error)[:MAX_MESSAGE],
        "failed_batches": failure.batches,
    }
