"""The update of one stream as a state machine: every state that it can be in, and every change.

    WANTED ──► PULLING ──► VERIFIED ──► ON_TRIAL ──► ACTIVE
      ▲           │            │            │           │
      │           ├────────────┴────────────┴───────────┼──► REFUSED
      └───────────┴───────── when it is due again ◄─────┴───────┘

Whatever the state, the model that serves goes on serving; only ON_TRIAL replaces it.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from models.bundle.identity import BundleRef
from models.control.document import MAX_MESSAGE
from models.control.documents import Desired
from serving import log
from serving.failure import Failure
from serving.updates.attempt import Attempt
from serving.updates.rollout import Participation
from serving.updates.slot import Slot

_DEGRADED_S: Final = 5.0
"""Seconds for which `degraded` stands at least, as a model may fail on every other batch."""


class State(StrEnum):
    """Where the update of a stream stands.

    WANTED: a bundle is desired, and the next attempt waits for its time.
    PULLING: the registry is asked, and the bundle is downloaded and verified.
    VERIFIED: the bytes are those that were signed; the model is built and must prove itself.
    ON_TRIAL: the model serves, and what it replaced is what would serve after a restart.
    ACTIVE: the model serves, also after a restart.
    REFUSED: the bundle must not serve here, and is not tried again before the next poll or push.
    """

    WANTED = "wanted"
    PULLING = "pulling"
    VERIFIED = "verified"
    ON_TRIAL = "on trial"
    ACTIVE = "active"
    REFUSED = "refused"


UNDER_WAY: Final = frozenset({State.PULLING, State.VERIFIED, State.ON_TRIAL})
"""States in which the worker has something to do for the stream."""

_CHANGES_NOTHING: Final = frozenset({State.PULLING, State.VERIFIED})
"""States in which an attempt may be given up."""

NEXT: Final[Mapping[State, frozenset[State]]] = {
    State.WANTED: frozenset({State.WANTED, State.PULLING, State.ACTIVE}),
    State.PULLING: frozenset({State.VERIFIED, State.ON_TRIAL, State.WANTED, State.REFUSED}),
    State.VERIFIED: frozenset({State.ON_TRIAL, State.WANTED, State.REFUSED}),
    State.ON_TRIAL: frozenset({State.ACTIVE, State.WANTED}),
    State.ACTIVE: frozenset({State.ACTIVE, State.WANTED, State.PULLING}),
    State.REFUSED: frozenset({State.ACTIVE, State.WANTED, State.PULLING}),
}
"""Which states may follow each state; another one is a bug.

From PULLING straight to ON_TRIAL goes a bundle that serves already: there is nothing to prove anew,
and only the record on disk may have to say that a push has selected it.
"""


@dataclass(frozen=True, slots=True)
class Degraded:
    """The model that serves fails on live windows, and no earlier bundle can take its place.

    Attributes:
        ref: the bundle that serves.
        failure: what its model fails with.
        until_s: monotonic seconds until which this is not published again, nor taken back.
    """

    ref: BundleRef
    failure: Failure
    until_s: float


@dataclass(slots=True)
class Update:
    """The update of one stream. Touched by the hot thread only.

    Attributes:
        slot: where the model of the stream serves.
        desired: the bundle that the stream should run.
        state: where the update stands; changed by `enter`.
        attempt: the attempt that was begun last; None once it was given up.
        due_s: monotonic seconds at which the next attempt may begin.
        failures: attempts that failed since the last one that went well.
        activity: identity of the push whose bundle was last published as serving.
        trouble: what the update waits for, in words; empty if for nothing.
        irreplaceable: the failing bundle for which no earlier one could be activated.
        degraded: what was last published of a model that fails; None while it answers.
        is_suspended: whether the stream shall run nothing for the time being.
        rollout: what the stream does in rollouts.
    """

    slot: Slot
    desired: Desired
    state: State = State.WANTED
    attempt: Attempt | None = None
    due_s: float = 0.0
    failures: int = 0
    activity: str = ""
    trouble: str = ""
    irreplaceable: BundleRef | None = None
    degraded: Degraded | None = None
    is_suspended: bool = False
    rollout: Participation = field(default_factory=Participation)

    @property
    def is_under_way(self) -> bool:
        """Whether an attempt has begun that has not ended."""
        return self.state in UNDER_WAY

    @property
    def serving(self) -> BundleRef | None:
        """The bundle whose model serves, None while there is none."""
        return self.slot.model.ref if self.slot.model is not None else None

    def judge(self, failure: Failure | None, now_s: float) -> bool:
        """Take whether the model that serves fails on live windows.

        Args:
            failure: what it fails with; None if it has answered the last batch.
            now_s: monotonic seconds.

        Returns:
            Whether what is published of the stream has to say something new.
        """
        serving, before = self.serving, self.degraded
        if before is not None and before.ref != serving:
            before = self.degraded = None
        if before is not None and now_s < before.until_s:
            return False
        if serving is not None and failure is not None and failure.is_lasting:
            self.degraded = Degraded(serving, failure, now_s + _DEGRADED_S)
            if before is None:
                warn_of(failure, serving, "model is degraded")
            return True
        if before is None or failure is not None:
            return False
        self.degraded = None
        log.info("model answers again", stream=before.ref.stream, seq=before.ref.seq)
        return True

    def give_up(self) -> None:
        """Give up an attempt that has changed nothing yet, as something else cannot wait for it."""
        if self.attempt is not None and self.state in _CHANGES_NOTHING:
            self.attempt.give_up()
            self.attempt = None
            self.enter(State.WANTED)

    def poll_later(self, now_s: float, poll_s: float, hint_s: float) -> None:
        """Have a newer bundle looked for after the poll interval, spread over a fleet by jitter.

        Args:
            now_s: monotonic seconds now.
            poll_s: seconds between two looks by itself.
            hint_s: as for `look_again`.
        """
        self.due_s = now_s + poll_s * random.uniform(0.5, 1.5)  # noqa: S311  jitter
        if self.rollout.needs_look:
            self.look_again(now_s, hint_s)

    def look_soon(self, now_s: float) -> None:
        """Have a newer bundle looked for within half a minute, spread over a fleet by jitter."""
        soon_s = now_s + random.uniform(1.0, 30.0)  # noqa: S311  jitter
        self.due_s = min(self.due_s or soon_s, soon_s)

    def look_again(self, now_s: float, hint_s: float) -> None:
        """Have the registry looked into soon, as the rollout of the stream asks; with a jitter.

        A hint reaches a whole fleet at the same moment, which the store must not feel.

        Args:
            now_s: monotonic seconds now.
            hint_s: seconds between two looks, over which gateways spread them as well.
        """
        jitter_s = random.uniform(0.0, hint_s)  # noqa: S311  no secret
        self.due_s = min(self.due_s, self.rollout.next_look_s(now_s, hint_s) + jitter_s)

    def enter(self, state: State) -> None:
        """Go over to another state.

        Raises:
            ValueError: `NEXT` does not allow it, so the caller has a bug.
        """
        if state not in NEXT[self.state]:
            raise ValueError(f"an update cannot go from {self.state} to {state}")
        self.state = state


def warn_of(failure: Failure, ref: BundleRef, sentence: str) -> None:
    """Log what a model fails with."""
    reason = str(failure.error)[:MAX_MESSAGE]
    log.warning(sentence, stream=ref.stream, seq=ref.seq, code=failure.error.code, reason=reason)
