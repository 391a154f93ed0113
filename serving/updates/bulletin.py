"""Says what streams run, and how their updates go."""

from collections.abc import Callable

from models.bundle.identity import BundleRef
from models.control.document import MAX_MESSAGE
from models.control.documents import Desired, FeedbackState, ShadowBundle
from models.errors import MillhandError
from serving import log
from serving.incidents.quarantine import Quarantine
from serving.updates.announced import current_of, feedback_of, rolled_back
from serving.updates.slot import Announcer
from serving.updates.update import Update


class Bulletin:
    """What the updater says, on the hot thread.

    Args:
        announcer: publishes it.
        quarantine: bundles that must not serve.
        shadow_of: what `current` says of the shadow of a stream.
    """

    def __init__(
        self,
        announcer: Announcer,
        quarantine: Quarantine,
        shadow_of: Callable[[str], ShadowBundle | None],
    ) -> None:
        self._announcer, self._quarantine, self._shadow_of = announcer, quarantine, shadow_of

    def current(self, update: Update) -> None:
        """Say what a stream runs."""
        stream = update.desired.stream
        known, shadow = self._quarantine.known(stream), self._shadow_of(stream)
        self._announcer.current(current_of(update, known, shadow))

    def tell(
        self,
        desired: Desired,
        state: FeedbackState,
        error: MillhandError | None = None,
        **more: int | str | None,
    ) -> None:
        """Say how an update goes; see `serving.updates.announced.feedback_of`."""
        self._announcer.feedback(feedback_of(desired, state, error, **more))

    def slow(self, desired: Desired, error: MillhandError) -> None:
        """Say that a model serves though something speaks against it."""
        log.warning("model is slow", stream=desired.stream, code=error.code, reason=str(error))
        self.tell(desired, "verifying", warning=error.code, message=str(error)[:MAX_MESSAGE])

    def rolled_back(self, update: Update, ref: BundleRef, code: str, message: str) -> None:
        """Say why a bundle serves no more."""
        reason = message[:MAX_MESSAGE]
        log.warning("model rolled back", stream=ref.stream, seq=ref.seq, code=code, reason=reason)
        seq = update.serving.seq if update.serving is not None else None
        self._announcer.feedback(rolled_back(update.activity, seq, ref, code, message))
