"""The document that says what a stream runs, from the state of its update."""

from collections.abc import Iterable
from typing import Any

from models.control.document import MAX_MESSAGE
from models.control.documents import Current, QuarantinedBundle
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


def _degraded(failure: Failure) -> dict[str, object]:
    """The fields that say that a model is degraded."""
    return {
        "state": "degraded",
        "reason": failure.error.code,
        "message": str(failure.error)[:MAX_MESSAGE],
        "failed_batches": failure.batches,
    }
