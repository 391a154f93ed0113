"""New models: desired by a push or found by a poll, proven on the worker, swapped in by the loop.

Whatever fails on the way, the running model is untouched and `feedback` carries the error's code.
A transient failure is tried again with growing waits, a refusal at the next poll or push. The
states of an update and what may follow on what are in `serving.updates.update`.
"""

import random
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final

from models.bundle.identity import BundleRef
from models.control.document import MAX_MESSAGE
from models.control.documents import Desired, Feedback, FeedbackState
from models.errors import BundleError, IncompatibleBundleError, MillhandError
from serving import log, memory
from serving.failure import Failure
from serving.updates.announced import current_of, rolled_back
from serving.updates.attempt import (
    Attempt,
    Downloading,
    Event,
    Failed,
    Proven,
    Recorded,
    Slow,
    Tools,
    Unchanged,
    Verified,
)
from serving.updates.kept import KILLED, KeptBundles
from serving.updates.slot import Announcer, Slot
from serving.updates.update import Degraded, State, Update

_FIRST_RETRY_S: Final = 5.0
_DEGRADED_S: Final = 5.0
"""Seconds for which `degraded` stands at least, as a model may fail on every other batch."""


class Updater:
    """Keeps every stream on the bundle that it should run.

    All methods are for the hot thread. None of them waits for the network or for the registry;
    `start` and a roll back read a bundle from disk and build its session.

    Args:
        tools: registry, store and worker.
        announcer: publishes what the streams run and how their updates go.
        clock: monotonic seconds.
    """

    def __init__(self, tools: Tools, announcer: Announcer, clock: Callable[[], float]) -> None:
        self._tools = tools
        self._kept = KeptBundles(tools)
        self._announcer = announcer
        self._clock = clock
        self._updates: dict[str, Update] = {}

    @property
    def troubles(self) -> Mapping[str, str]:
        """What updates wait for, in words, by stream. Serving never waits for it."""
        return {name: one.trouble for name, one in self._updates.items() if one.trouble}

    def start(self, slots: Mapping[str, Slot]) -> None:
        """Serve what is kept on disk, without a network.

        Args:
            slots: by stream.
        """
        try:
            self._tools.store.sweep()
            self._tools.prover.sweep(self._tools.store.digests())
        except OSError as exc:
            log.warning("bundles cannot be tidied up", reason=exc.strerror)
        if self._tools.account.suspect:
            self._tools.prover.excuse()
        for stream, slot in slots.items():
            update = self._updates[stream] = Update(slot, Desired.model_construct(stream=stream))
            active = self._tools.store.active(stream)
            if active is None:
                continue
            update.desired = Desired.model_construct(stream=stream, seq=active.pinned)
            fit, killed = self._kept.fit(active.candidates)
            for ref in fit:
                if self._serve_kept(update, ref, may_wait=True):
                    break
            for ref, message in killed:
                self._tell_rolled_back(update, ref, KILLED, message)
            self._tools.worker.submit(partial(self._kept.prove, fit[1:]))
            self._look_soon(update)

    def announce(self) -> None:
        """Publish `current` of every stream, as after each connect."""
        for update in self._updates.values():
            self._announce(update)

    def desire(self, stream: str, payload: bytes) -> None:
        """Take a `desired` document; an empty one goes back to following the newest bundle."""
        update = self._updates.get(stream)
        if update is None:
            return
        try:
            desired = Desired.read(stream, payload)
        except IncompatibleBundleError as exc:
            self._tell(Desired.model_construct(stream=stream), "refused", exc)
            return
        known = {one.seq for one in self._tools.account.quarantine.known(stream)}
        if desired == update.desired and (update.state is State.REFUSED or desired.seq in known):
            return  # the retained document again, as after every connect
        serving = update.serving.seq if update.serving is not None else None
        if desired == update.desired and desired.seq in (None, serving):
            return
        update.desired, update.failures, update.due_s = desired, 0, 0.0
        self.tick()

    def tick(self) -> None:
        """Begin what is due; to be called about once a second."""
        for update in self._updates.values():
            if update.is_suspended:
                continue
            failure = update.slot.failure
            if failure is not None and failure.is_lasting and self._roll_back(update, failure):
                continue
            self._tell_health(update, failure)
            if not update.is_under_way and self._clock() >= update.due_s:
                update.enter(State.PULLING)
                Attempt(update.desired, update.slot, self._tools, self._follow).begin()

    def hurry(self, streams: Collection[str]) -> None:
        """Begin an attempt for these streams now, where none is under way."""
        for stream in streams:
            self._updates[stream].due_s = 0.0
        self.tick()

    def suspend(self, stream: str) -> None:
        """Let a stream run nothing until `resume`; its slot has given its model up already.

        An attempt that is under way goes on to its end, and its model is not activated.
        """
        update = self._updates[stream]
        update.is_suspended, update.trouble = True, ""
        self._tools.worker.submit(memory.give_back)
        self._announce(update)

    def resume(self, desired: Desired) -> None:
        """Bring a stream to a bundle now, whatever became of it before."""
        update = self._updates[desired.stream]
        update.is_suspended = False
        update.desired, update.failures = desired, 0
        self.hurry([desired.stream])

    def is_under_way(self, streams: Collection[str]) -> bool:
        """Whether an attempt is under way for one of these streams, or due."""
        updates, now_s = [self._updates[stream] for stream in streams], self._clock()
        return any(
            update.is_under_way or (now_s >= update.due_s and not update.is_suspended)
            for update in updates
        )

    def _follow(self, attempt: Attempt, event: Event) -> None:
        """Take what has become of an attempt; called between two turns."""
        update, desired = self._updates[attempt.desired.stream], attempt.desired
        match event:
            case Unchanged() if update.serving is None:  # given up since the attempt began
                self._wait(update, 0.0)
            case Downloading():
                self._tell(desired, "downloading", progress=event.progress)
            case Verified():
                update.enter(State.VERIFIED)
                self._tell(desired, "verifying", seq=event.ref.seq)
            case Slow():
                self._warn(desired, event.error)
            case Proven():
                self._activate(update, attempt, event)
            case Unchanged():
                self._record(update, attempt)
            case Recorded():
                self._confirm(update, attempt, event)
            case Failed():
                self._fail(update, attempt, event.error)

    def _activate(self, update: Update, attempt: Attempt, proven: Proven) -> None:
        """Swap the model in: one reference, between two turns."""
        ref = proven.model.ref
        if attempt.desired != update.desired or update.is_suspended:
            self._tell(attempt.desired, "superseded", seq=ref.seq)
            attempt.set_aside(ref)
            self._wait(update, 0.0)
            return
        kept_windows = proven.swap()
        log.info(
            "model activated",
            stream=ref.stream,
            seq=ref.seq,
            version=ref.version,
            sha256=ref.sha256,
            windows="kept" if kept_windows else "restarted",
        )
        self._record(update, attempt)

    def _record(self, update: Update, attempt: Attempt) -> None:
        """Have what serves, and what has selected it, survive a restart."""
        assert update.serving is not None  # noqa: S101  a swap was made, or nothing had to be
        update.enter(State.ON_TRIAL)
        attempt.record(update.serving)

    def _confirm(self, update: Update, attempt: Attempt, recorded: Recorded) -> None:
        desired = attempt.desired
        update.enter(State.ACTIVE)
        update.failures, update.trouble = 0, ""
        if recorded.is_new or desired.activity != update.activity:
            update.activity = desired.activity
            seq = update.serving.seq if update.serving is not None else None
            self._tell(desired, "activated", seq=seq)
            self._announce(update)
        if desired == update.desired:
            self._poll_later(update)
        else:
            self._wait(update, 0.0)

    def _fail(self, update: Update, attempt: Attempt, error: MillhandError) -> None:
        desired, is_refused = attempt.desired, isinstance(error, BundleError)
        update.failures += 1
        self._tell(desired, "refused" if is_refused else "waiting", error)
        if (trouble := f"update of {desired.stream}: {error}") != update.trouble:
            update.trouble = trouble
            log.warning(
                "update failed",
                stream=desired.stream,
                seq=desired.seq,
                code=error.code,
                reason=str(error),
            )
        if desired != update.desired:
            self._wait(update, 0.0)
        elif is_refused:
            update.enter(State.REFUSED)
            self._poll_later(update)
        else:
            wait_s = _FIRST_RETRY_S * 2 ** min(update.failures - 1, 16)
            poll_s = self._tools.registry.poll_s
            self._wait(update, min(wait_s, poll_s) * random.uniform(0.5, 1.0))  # noqa: S311  jitter

    def _wait(self, update: Update, wait_s: float) -> None:
        """Try again after `wait_s` seconds."""
        update.enter(State.WANTED)
        update.due_s = self._clock() + wait_s

    def _poll_later(self, update: Update) -> None:
        """Look for a newer bundle after the poll interval, spread over a fleet by jitter."""
        update.due_s = self._clock() + self._tools.registry.poll_s * random.uniform(0.5, 1.5)  # noqa: S311  jitter

    def _look_soon(self, update: Update) -> None:
        """Look for a newer bundle within half a minute, spread over a fleet by jitter."""
        soon_s = self._clock() + random.uniform(1.0, 30.0)  # noqa: S311  jitter
        update.due_s = min(update.due_s or soon_s, soon_s)

    def _serve_kept(self, update: Update, ref: BundleRef, *, may_wait: bool = False) -> bool:
        """Activate a bundle from disk; says why not, and that the next is tried."""
        try:
            swap = update.slot.prepare(self._kept.load(ref, may_wait=may_wait))
        except BundleError as exc:
            log.error("kept bundle refused", stream=ref.stream, seq=ref.seq, reason=str(exc))
            return False
        swap()
        update.enter(State.ACTIVE)
        log.info("serving kept bundle", stream=ref.stream, seq=ref.seq, version=ref.version)
        return True

    def _roll_back(self, update: Update, failure: Failure) -> bool:
        """The model fails on live windows: serve the one before it, and never this one again.

        Returns:
            Whether one was found. If not, it is not looked for again while the bundle serves.
        """
        failing = update.serving
        if update.is_under_way or failing is None or failing == update.irreplaceable:
            return False
        if update.desired.seq is None:
            self._look_soon(update)
        for ref in self._kept.others(failing):
            if self._serve_kept(update, ref):
                self._warn_of(failure, failing, "model rolled back")
                self._tell_rolled_back(update, failing, failure.error.code, str(failure.error))
                keep = partial(self._kept.replace, failing, ref, update.desired.seq, failure.error)
                self._tools.worker.submit(keep)
                self._tools.worker.submit(lambda: partial(self._announce, update))
                return True
        update.irreplaceable = failing
        return False

    def _tell_rolled_back(self, update: Update, ref: BundleRef, code: str, message: str) -> None:
        """Say on `feedback` why a bundle serves no more."""
        self._announcer.feedback(rolled_back(update, ref, code, message))

    def _tell_health(self, update: Update, failure: Failure | None) -> None:
        """Publish that the model that serves fails on live windows, or that it answers again."""
        serving, before, now_s = update.serving, update.degraded, self._clock()
        if before is not None and before.ref != serving:
            before = update.degraded = None
        if before is not None and now_s < before.until_s:
            return
        if serving is not None and failure is not None and failure.is_lasting:
            update.degraded = Degraded(serving, failure, now_s + _DEGRADED_S)
            if before is None:
                self._warn_of(failure, serving, "model is degraded")
            self._announce(update)
        elif before is not None and failure is None:
            update.degraded = None
            log.info("model answers again", stream=before.ref.stream, seq=before.ref.seq)
            self._announce(update)

    @staticmethod
    def _warn_of(failure: Failure, ref: BundleRef, sentence: str) -> None:
        reason = str(failure.error)[:MAX_MESSAGE]
        log.warning(
            sentence, stream=ref.stream, seq=ref.seq, code=failure.error.code, reason=reason
        )

    def _warn(self, desired: Desired, error: MillhandError) -> None:
        """Say that a model serves though something speaks against it."""
        log.warning("model is slow", stream=desired.stream, code=error.code, reason=str(error))
        self._tell(desired, "verifying", warning=error.code, message=str(error)[:MAX_MESSAGE])

    def _announce(self, update: Update) -> None:
        known = self._tools.account.quarantine.known(update.desired.stream)
        self._announcer.current(current_of(update, known))

    def _tell(
        self,
        desired: Desired,
        state: FeedbackState,
        error: MillhandError | None = None,
        **more: int | str | None,
    ) -> None:
        document = Feedback.model_construct(
            activity=desired.activity, stream=desired.stream, seq=desired.seq, state=state
        )
        fields: dict[str, object] = {**more}
        if error is not None:
            fields |= {"error": error.code, "message": str(error)[:MAX_MESSAGE]}
        self._announcer.feedback(document.model_copy(update=fields))
