"""Bundles in the shadow of those that serve: pulled and proven like any other, never activated.

    selected ──► pulled, proven ──► in the shadow ──► ended by a gate, or by another selection

A stream whose shadow is selected stays on the bundle that serves it: it does not follow the newest.
"""

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from models.bundle.identity import BundleRef
from models.control.bundles import ShadowBundle
from models.control.document import MAX_MESSAGE
from models.control.documents import Desired, FeedbackState
from models.errors import BundleError, MillhandError
from models.rollout.plan import Gates
from serving import log, memory
from serving.failure import Failure
from serving.model import Model
from serving.registry.part import Part
from serving.updates.announced import feedback_of, rolled_back
from serving.updates.attempt import (
    Attempt,
    Downloading,
    Event,
    Failed,
    Proven,
    Slow,
    Tools,
    Unchanged,
    Verified,
)
from serving.updates.kept import KILLED, KeptBundles
from serving.updates.probations import Probations
from serving.updates.shadow_record import (
    EndedTrial,
    Selection,
    ShadowRecord,
    read_record,
    write_record,
)
from serving.updates.shadow_state import ShadowState
from serving.updates.slot import Announcer, ShadowSlot

_FIRST_RETRY_S: Final = 5.0


class Shadows:
    """Keeps in the shadow of each stream what is selected for it. For the hot thread.

    Args:
        tools: what attempts work with.
        announcer: is told how they go.
        announce: publishes what a stream runs, with its shadow.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        tools: Tools,
        announcer: Announcer,
        announce: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._tools = tools
        self._kept = KeptBundles(tools)
        self._probations = Probations(tools, clock)
        self._announcer, self._announce = announcer, announce
        self._clock = clock
        self._shadows: dict[str, ShadowState] = {}

    def open(self, slots: Mapping[str, ShadowSlot]) -> None:
        """Read what is on disk, before anything there is tidied up."""
        for stream, slot in slots.items():
            record = read_record(self._tools.store.state_dir, stream)
            configured = Selection() if slot.is_configured else None
            shadow = self._shadows[stream] = ShadowState(slot, configured, configured)
            if record is not None and (configured or record.selection != Selection()):
                shadow.selection, shadow.ref = record.selection, record.ref
                shadow.ended = record.ended
        self._reserve()

    def start(self) -> None:
        """Bring back what was in the shadows, without a network."""
        for stream, shadow in self._shadows.items():
            self._probations.resume(stream, shadow.slot)
            if (ref := shadow.ref) is not None and shadow.slot.champion is not None:
                shadow.ref = None
                shadow.due_s = self._clock() + random.uniform(1.0, 30.0)  # noqa: S311  jitter
                if not self._is_deadly(stream, shadow, ref):
                    self._tools.worker.submit(partial(self._restore, stream, ref))

    def select(self, stream: str, selection: Selection) -> None:
        """Have a bundle run in the shadow of a stream; another one that does is ended.

        Args:
            stream: name of the stream; one without a place for a shadow is ignored.
            selection: the bundle, and who has asked for it.
        """
        shadow = self._shadows.get(stream)
        if shadow is None or shadow.selection == selection:
            return
        self._leave(stream, shadow)
        shadow.selection, shadow.ended = selection, None
        shadow.due_s, shadow.failures = 0.0, 0
        self._write(stream, shadow)
        self.tick()

    def assign(self, stream: str, part: Part | None) -> None:
        """Take what a signed rollout asks of a stream; what a person has pushed comes first.

        Args:
            stream: name of the stream.
            part: the gateway's part; None where there is no rollout.
        """
        shadow = self._shadows.get(stream)
        if shadow is None:
            return
        selection, configured = shadow.selection, shadow.configured
        is_pushed = selection != configured and selection is not None and not selection.rollout
        if part is not None and part.role == "shadow" and not is_pushed:
            gates = Gates.model_validate(part.gates) if part.gates else None
            self.select(stream, Selection(seq=part.seq, rollout=part.rollout, gates=gates))
        elif selection is not None and selection.rollout:
            self.end(stream)

    def end(self, stream: str) -> None:
        """End what a push or a rollout has selected; what is configured is selected again."""
        shadow = self._shadows.get(stream)
        if shadow is None or shadow.selection == shadow.configured:
            return
        self._leave(stream, shadow)
        shadow.selection, shadow.ended = shadow.configured, None
        shadow.due_s, shadow.failures = 0.0, 0
        self._write(stream, shadow)
        self._announce(stream)

    def holds(self, stream: str) -> bool:
        """Whether the stream stays on the bundle that serves it."""
        shadow = self._shadows.get(stream)
        selection = shadow.selection if shadow is not None else None
        return selection is not None and not selection.rollout

    def begin_probation(self, stream: str, former: Model | None) -> None:
        """Have the bundle that served before answer beside the one that does from now on."""
        shadow = self._shadows.get(stream)
        if former is not None and shadow is not None:
            self._probations.begin(stream, shadow.slot, former)

    def relapse(self, stream: str, failure: Failure | None) -> tuple[str, str] | None:
        """What speaks against the bundle that serves, in a code and in words; None for nothing.

        Args:
            stream: name of the stream.
            failure: what its model fails with on live windows.
        """
        if failure is not None and failure.is_lasting:
            return failure.error.code, str(failure.error)
        return one.slot.relapse if (one := self._shadows.get(stream)) is not None else None

    def shown(self, stream: str) -> ShadowBundle | None:
        """What `current` says of the shadow of a stream; None if there is nothing to say."""
        return one.shown if (one := self._shadows.get(stream)) is not None else None

    def tick(self) -> None:
        """Begin what is due, and end what a gate has ended; to be called about once a second."""
        for stream, shadow in self._shadows.items():
            if shadow.ref is not None and shadow.slot.tripped is not None:
                self._trip(stream, shadow, shadow.ref, *shadow.slot.tripped)
            if shadow.ref is not None and shadow.slot.model is None and shadow.attempt is None:
                shadow.ref, shadow.due_s = None, 0.0  # another champion: compare with that one
                shadow.slot.end()
                self._announce(stream)
            if self._probations.is_on(stream, shadow.slot):
                continue
            champion = shadow.slot.champion
            is_due = shadow.attempt is None and self._clock() >= shadow.due_s
            if shadow.selection is not None and champion is not None and is_due:
                self._begin(stream, shadow, champion)

    def _begin(self, stream: str, shadow: ShadowState, champion: BundleRef) -> None:
        selection = shadow.selection
        assert selection is not None  # noqa: S101  the caller has asked
        if shadow.ended is not None and shadow.ended.seq == selection.seq:
            shadow.due_s = float("inf")  # until something else is selected
            return
        desired = Desired.model_construct(
            stream=stream, seq=selection.seq, activity=selection.activity, shadow=True
        )
        shadow.slot.selection = selection
        known = {champion.sha256} | ({shadow.ended.sha256} if shadow.ended is not None else set())
        shadow.attempt = Attempt(desired, shadow.slot, self._tools, self._follow)
        shadow.attempt.passed_over = known
        shadow.attempt.begin()

    def _follow(self, attempt: Attempt, event: Event) -> None:
        """Take what has become of an attempt; called between two turns."""
        stream, desired = attempt.desired.stream, attempt.desired
        shadow = self._shadows[stream]
        is_wanted = shadow.attempt is attempt
        match event:
            case Downloading() if is_wanted:
                self._tell(desired, "downloading", progress=event.progress)
            case Verified() if is_wanted:
                self._tell(desired, "verifying", seq=event.ref.seq)
            case Slow() if is_wanted:
                message = str(event.error)[:MAX_MESSAGE]
                self._tell(desired, "verifying", warning=event.error.code, message=message)
            case Proven() if is_wanted:
                shadow.attempt = None
                self._enter(stream, shadow, event)
            case Proven():
                attempt.set_aside(event.model.ref)
            case Unchanged() if is_wanted:
                shadow.attempt, shadow.failures = None, 0
                self._poll_later(shadow)
            case Failed() if is_wanted:
                shadow.attempt = None
                self._fail(shadow, desired, event.error)

    def _enter(self, stream: str, shadow: ShadowState, proven: Proven) -> None:
        """The bundle is there: it answers in the shadow from the next turn on."""
        if not proven.swap():
            shadow.due_s = 0.0  # another champion by now
            return
        before, shadow.ref, shadow.ended = shadow.ref, proven.model.ref, None
        shadow.failures = 0
        log.info("model in the shadow", stream=stream, seq=shadow.ref.seq, sha256=shadow.ref.sha256)
        self._poll_later(shadow)
        self._write(stream, shadow)
        if before is not None and before != shadow.ref:
            self._set_aside(before)
        self._announce(stream)

    def _fail(self, shadow: ShadowState, desired: Desired, error: MillhandError) -> None:
        is_refused = isinstance(error, BundleError)
        shadow.failures += 1
        state: FeedbackState = "refused" if is_refused else "waiting"
        self._tell(desired, state, error)
        log.warning(
            "no model in the shadow", stream=desired.stream, code=error.code, reason=str(error)
        )
        if is_refused:
            self._poll_later(shadow)
        else:
            wait_s = _FIRST_RETRY_S * 2 ** min(shadow.failures - 1, 16)
            wait_s = min(wait_s, self._tools.registry.poll_s)
            shadow.due_s = self._clock() + wait_s * random.uniform(0.5, 1.0)  # noqa: S311  jitter

    def _trip(
        self, stream: str, shadow: ShadowState, ref: BundleRef, code: str, message: str
    ) -> None:
        """A gate has ended the trial: the model goes, and is not tried again for this selection."""
        shadow.ended = EndedTrial(sha256=ref.sha256, seq=ref.seq, code=code, message=message)
        shadow.slot.end(keep_evidence=True)
        shadow.ref, shadow.due_s = None, self._clock()
        log.warning("trial ended", stream=stream, seq=ref.seq, code=code, reason=message)
        self._tell_ended(shadow, ref, code, message)
        is_of_rollout = shadow.selection is not None and shadow.selection.rollout
        if is_of_rollout or shadow.slot.is_at_fault(code):
            self._tools.worker.submit(partial(self._kept.put_aside, ref, code, message))
        self._write(stream, shadow)
        self._tools.worker.submit(memory.give_back)
        self._tools.worker.submit(lambda: partial(self._announce, stream))

    def _leave(self, stream: str, shadow: ShadowState) -> None:
        """Have nothing run in the shadow; what is under way there is not wanted any more."""
        attempt, shadow.attempt = shadow.attempt, None
        if attempt is not None:
            self._tell(attempt.desired, "superseded")
        shadow.slot.end()
        if shadow.ref is not None:
            log.info("shadow ended", stream=stream, seq=shadow.ref.seq)
            self._set_aside(shadow.ref)
            self._tools.worker.submit(memory.give_back)
        shadow.ref = None

    def _restore(self, stream: str, ref: BundleRef) -> Callable[[], None] | None:
        """On the worker: load a bundle that was in the shadow before a restart."""
        shadow = self._shadows[stream]
        try:
            model = self._kept.load(ref, may_wait=True)
            proven = Proven(model, shadow.slot.prepare(model))
        except BundleError as exc:
            log.warning("kept shadow refused", stream=stream, seq=ref.seq, reason=str(exc))
            return None

        def enter() -> None:
            if shadow.ref is None and shadow.attempt is None and shadow.selection is not None:
                self._enter(stream, shadow, proven)

        return enter

    def _is_deadly(self, stream: str, shadow: ShadowState, ref: BundleRef) -> bool:
        """Whether the program has died of the bundle too often, or it is in quarantine."""
        account = self._tools.account
        if account.quarantine.get(ref.sha256) is not None:
            return True
        if not account.is_deadly(ref, has_other=True):
            shadow.slot.selection = shadow.selection
            return False
        deaths = account.deaths.of_model(ref.sha256)
        message = f"the program has died {deaths} times of this model, in the shadow"
        shadow.ended = EndedTrial(sha256=ref.sha256, seq=ref.seq, code=KILLED, message=message)
        self._kept.put_aside(ref, KILLED, message)
        self._tell_ended(shadow, ref, KILLED, message)
        self._write(stream, shadow)
        return True

    def _poll_later(self, shadow: ShadowState) -> None:
        """Look for a newer bundle after the poll interval, if the newest is selected."""
        poll_s = self._tools.registry.poll_s * random.uniform(0.5, 1.5)  # noqa: S311  jitter
        shadow.due_s = self._clock() + poll_s

    def _set_aside(self, ref: BundleRef) -> None:
        self._reserve()
        self._tools.worker.submit(lambda: self._tools.store.set_aside(ref))

    def _reserve(self) -> None:
        """Have the bundles in the shadows stay on disk."""
        refs = [one.ref for one in self._shadows.values()]
        self._tools.store.reserved = frozenset(ref.sha256 for ref in refs if ref is not None)

    def _write(self, stream: str, shadow: ShadowState) -> None:
        self._reserve()
        record = None
        if shadow.selection is not None:
            record = ShadowRecord.of(stream, shadow.selection, shadow.ref, shadow.ended)
        state_dir = self._tools.store.state_dir
        self._tools.worker.submit(partial(write_record, state_dir, stream, record))

    def _tell(
        self,
        desired: Desired,
        state: FeedbackState,
        error: MillhandError | None = None,
        **more: int | str | None,
    ) -> None:
        self._announcer.feedback(feedback_of(desired, state, error, **more))

    def _tell_ended(self, shadow: ShadowState, ref: BundleRef, code: str, message: str) -> None:
        champion, selection = shadow.slot.champion, shadow.selection
        activity = selection.activity if selection is not None else ""
        seq = champion.seq if champion is not None else None
        self._announcer.feedback(rolled_back(activity, seq, ref, code, "in the shadow: " + message))
