"""The state of one stream's shadow."""

from dataclasses import dataclass

from models.bundle.identity import BundleRef
from models.control.bundles import ShadowBundle
from serving.updates.attempt import Attempt
from serving.updates.shadow_record import EndedTrial, Selection
from serving.updates.slot import ShadowSlot


@dataclass(slots=True, eq=False)
class ShadowState:
    """The shadow of one stream.

    Attributes:
        slot: where its model answers.
        configured: what is selected unless a push or a rollout selects something; None for nothing.
        selection: what is selected; None for nothing.
        ref: the bundle in the shadow; None while there is none.
        ended: the trial of this selection that a gate has ended last.
        attempt: the attempt to bring the bundle there; None while none is under way.
        due_s: monotonic seconds at which the next attempt may begin.
        failures: attempts that failed since the last one that went well.
    """

    slot: ShadowSlot
    configured: Selection | None
    selection: Selection | None = None
    ref: BundleRef | None = None
    ended: EndedTrial | None = None
    attempt: Attempt | None = None
    due_s: float = 0.0
    failures: int = 0

    @property
    def shown(self) -> ShadowBundle | None:
        """What `current` says of it; None if there is nothing to say."""
        if self.selection is None:
            return None
        activity, ended = self.selection.activity, self.ended
        if self.ref is not None:
            ref = self.ref
            return ShadowBundle.model_construct(
                seq=ref.seq, version=ref.version, sha256=ref.sha256, activity=activity
            )
        if ended is None:
            return None
        return ShadowBundle.model_construct(
            seq=ended.seq,
            sha256=ended.sha256,
            activity=activity,
            gate=ended.code,
            message=ended.message,
        )
