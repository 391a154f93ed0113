"""The documents that say what a stream runs and how its updates go, from their state."""

from collections.abc import Iterable
from typing import Any

from models.bundle.identity import BundleRef
from models.control.document import MAX_MESSAGE
from models.control.documents import (
    Current,
    Desired,
    Feedback,
    FeedbackState,
    QuarantinedBundle,
    ShadowBundle,
)
from models.errors import MillhandError
from serving.failure import Failure
from serving.incidents.quarantine import Quarantined
from serving.updates.update import Update


def current_of(
    update: Update, quarantined: Iterable[Quarantined], shadow: ShadowBundle | None = None
) -> Current:
    """What a stream runs, and which of its bundles must not serve.

    Args:
        update: the update of the stream.
        quarantined: its bundles in quarantine.
        shadow: the bundle in its shadow; None where there is none.
    """
    ref = update.serving
    fields: dict[str, Any] = {"stream": update.desired.stream, "state": "waiting", "seq": None}
    if ref is not None:
        fields |= {"state": "serving", "seq": ref.seq}
        fields |= {"version": ref.version, "sha256": ref.sha256}
    quarantined = tuple(quarantined)
    if (rollout := update.rollout.shown(ref.seq if ref else None, quarantined)) is not None:
        fields["rollout"] = rollout
    shown = [
        QuarantinedBundle.model_construct(seq=one.seq, sha256=one.sha256, code=one.code)
        for one in quarantined
    ]
    if shown:
        fields["quarantined"] = shown
    if shadow is not None:
        fields["shadow"] = shadow
    if update.degraded is not None and update.degraded.ref == ref:
        fields |= _degraded(update.degraded.failure)
    return Current.model_construct(**fields, activity=update.activity)


def feedback_of(
    desired: Desired,
    state: FeedbackState,
    error: MillhandError | None = None,
    **more: int | str | None,
) -> Feedback:
    """How the update to a desired bundle goes.

    Args:
        desired: what is desired.
        state: how it goes.
        error: what has gone wrong; None for nothing.
        more: further fields of the document.
    """
    document = Feedback.model_construct(
        activity=desired.activity, stream=desired.stream, seq=desired.seq, state=state
    )
    fields: dict[str, object] = {**more}
    if error is not None:
        fields |= {"error": error.code, "message": str(error)[:MAX_MESSAGE]}
    return document.model_copy(update=fields)


def rolled_back(
    activity: str, seq: int | None, ref: BundleRef, code: str, message: str
) -> Feedback:
    """Why a bundle is there no more.

    Args:
        activity: identity of the push that has selected it.
        seq: number of the bundle that serves; None for none.
        ref: the bundle that is there no more.
        code: code of what has ended it.
        message: the same in words.
    """
    return Feedback.model_construct(
        activity=activity,
        stream=ref.stream,
        seq=seq,
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
