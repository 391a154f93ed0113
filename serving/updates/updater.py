"""New models: desired by a push or found by a poll, proven on the worker, swapped in by the loop.

Whatever fails on the way, the running model is untouched and `feedback` carries the error's code.
A transient failure is tried again with growing waits, a refusal at the next poll or push. The
states of an update and what may follow on what are in `serving.updates.update`.
"""

import random
from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from models.bundle.identity import BundleRef
from models.control.documents import Desired
from models.errors import BundleError, IncompatibleBundleError, MillhandError
from serving import log, memory
from serving.updates.attempt import (
    Assigned,
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
from serving.updates.bulletin import Bulletin
from serving.updates.kept import KILLED, KeptBundles
from serving.updates.rollout import Change
from serving.updates.shadow_record import Selection
from serving.updates.shadows import Shadows
from serving.updates.slot import Announcer, ShadowSlot, Slot
from serving.updates.update import State, Update

_FIRST_RETRY_S: Final = 5.0


class Updater:
    """Keeps every stream on the bundle that it should run.

    All methods are for the hot thread. None of them waits for the network or for the registry;
    `start` and a roll back read a bundle from disk and build its session.

    Args:
        tools: registry, store and worker.
        announcer: publishes what the streams run and how their updates go.
        clock: monotonic seconds.
        gateway: id of the gateway; empty for a program that is none, and in no group of a rollout.

    Attributes:
        shadows: what runs in the shadows of the streams.
        freshness: when metadata of the registry were accepted last.
    """

    def __init__(
        self, tools: Tools, announcer: Announcer, clock: Callable[[], float], gateway: str = ""
    ) -> None:
        self._gateway, self.freshness = gateway, tools.freshness
        self._tools = tools
        self._kept = KeptBundles(tools)
        self._clock = clock
        self._updates: dict[str, Update] = {}
        self.shadows = Shadows(
            tools, announcer, lambda stream: self._bulletin.current(self._updates[stream]), clock
        )
        quarantine = tools.account.quarantine
        self._bulletin = Bulletin(announcer, quarantine, self.shadows.shown)

    @property
    def troubles(self) -> Mapping[str, str]:
        """What updates wait for, in words, by stream. Serving never waits for it."""
        return {name: one.trouble for name, one in self._updates.items() if one.trouble}

    def start(
        self, slots: Mapping[str, Slot], shadows: Mapping[str, ShadowSlot] = MappingProxyType({})
    ) -> None:
        """Serve what is kept on disk, without a network.

        Args:
            slots: by stream.
            shadows: places for shadows by stream, of the streams that have one.
        """
        self.shadows.open(shadows)
        self._kept.tidy_up()
        for stream, slot in slots.items():
            update = self._updates[stream] = Update(slot, Desired.model_construct(stream=stream))
            update.rollout.change = Change.read(self._tools.store.state_dir, stream)
            active = self._tools.store.active(stream)
            if active is None:
                continue
            update.desired = Desired.model_construct(stream=stream, seq=active.pinned)
            fit, killed = self._kept.fit(active.candidates)
            for ref in fit:
                if self._serve_kept(update, ref, may_wait=True):
                    break
            for ref, message in killed:
                self._bulletin.rolled_back(update, ref, KILLED, message)
            self._tools.worker.submit(partial(self._kept.prove, fit[1:]))
            update.look_soon(self._clock())
        self.shadows.start()

    def announce(self) -> None:
        """Publish `current` of every stream, as after each connect."""
        for update in self._updates.values():
            self._bulletin.current(update)

    def desire(self, stream: str, payload: bytes) -> None:
        """Take a `desired` document; an empty one goes back to following the newest bundle."""
        update = self._updates.get(stream)
        if update is None:
            return
        try:
            desired = Desired.read(stream, payload)
        except IncompatibleBundleError as exc:
            self._bulletin.tell(Desired.model_construct(stream=stream), "refused", exc)
            return
        if desired.shadow:
            self.shadows.select(stream, Selection(seq=desired.seq, activity=desired.activity))
            return
        if desired.rollout is None:
            self.shadows.end(stream)
        desired = self._heed(update, desired)
        known = {one.seq for one in self._tools.account.quarantine.known(stream)}
        if desired == update.desired and (update.state is State.REFUSED or desired.seq in known):
            return  # the retained document again, as after every connect
        serving = update.serving.seq if update.serving is not None else None
        if desired == update.desired and desired.seq in (None, serving):
            return
        update.desired, update.failures, update.due_s = desired, 0, 0.0
        self.tick()

    def _heed(self, update: Update, desired: Desired) -> Desired:
        """Take a hint about a rollout, and return what is selected apart from it."""
        hint = desired.rollout if desired.seq is None else None
        if update.rollout.heed(hint):
            update.look_again(self._clock(), self._tools.settings.hint_s)
        if hint is not None:
            return Desired.model_construct(stream=desired.stream)
        return desired.model_copy(update={"rollout": None})

    def tick(self) -> None:
        """Begin what is due; to be called about once a second."""
        for update in self._updates.values():
            if update.is_suspended:
                continue
            failure = update.slot.failure
            found = self.shadows.relapse(update.desired.stream, failure)
            if found is not None and self._roll_back(update, *found):
                continue
            if update.judge(failure, self._clock()):
                self._bulletin.current(update)
            now_s, serves = self._clock(), update.serving.seq if update.serving else None
            if update.rollout.tick(serves, now_s, self._tools.settings.healthy_s):
                self._bulletin.current(update)
            if not update.is_under_way and now_s >= update.due_s and not self._is_held(update):
                self._begin(update, serves)
        self.shadows.tick()

    def _begin(self, update: Update, serves: int | None) -> None:
        update.enter(State.PULLING)
        update.rollout.look(self._clock())
        situation = update.rollout.situation(self._gateway, serves)
        update.attempt = Attempt(
            update.desired, update.slot, self._tools, self._follow, situation=situation
        )
        update.attempt.begin()

    def _is_held(self, update: Update) -> bool:
        """Whether a shadow keeps the stream on the bundle that serves it."""
        stream, is_pinned = update.desired.stream, update.desired.seq is not None
        return update.serving is not None and not is_pinned and self.shadows.holds(stream)

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
        self._bulletin.current(update)

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
                self._bulletin.tell(desired, "downloading", progress=event.progress)
            case Assigned():
                self._assign(update, event)
            case Verified():
                update.enter(State.VERIFIED)
                self._bulletin.tell(desired, "verifying", seq=event.ref.seq)
            case Slow():
                self._bulletin.slow(desired, event.error)
            case Proven():
                self._activate(update, attempt, event)
            case Unchanged():
                self._record(update, attempt)
            case Recorded():
                self._confirm(update, attempt, event)
            case Failed():
                self._fail(update, attempt, event.error)

    def _assign(self, update: Update, assigned: Assigned) -> None:
        """Take what a signed rollout asks for."""
        self.shadows.assign(update.desired.stream, assigned.part)
        if update.rollout.take(assigned.part, assigned.change):
            self._bulletin.current(update)

    def _activate(self, update: Update, attempt: Attempt, proven: Proven) -> None:
        """Swap the model in: one reference, between two turns."""
        ref = proven.model.ref
        serves = update.serving.seq if update.serving is not None else None
        is_held = update.rollout.forbids(ref.seq, serves)
        if attempt.desired != update.desired or update.is_suspended or is_held:
            self._bulletin.tell(attempt.desired, "superseded", seq=ref.seq)
            attempt.set_aside(ref)
            self._wait(update, 0.0)
            return
        former = update.slot.model if update.slot.failure is None else None
        if kept_windows := proven.swap():
            self.shadows.begin_probation(ref.stream, former)
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
            self._bulletin.tell(desired, "activated", seq=seq)
            self._bulletin.current(update)
        if desired == update.desired:
            self._poll_later(update)
        else:
            self._wait(update, 0.0)

    def _fail(self, update: Update, attempt: Attempt, error: MillhandError) -> None:
        desired, is_refused = attempt.desired, isinstance(error, BundleError)
        update.failures += 1
        self._bulletin.tell(desired, "refused" if is_refused else "waiting", error)
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
            if update.rollout.part is not None and update.rollout.part.role == "serve":
                update.rollout.refusal = error
                self._bulletin.current(update)
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
        """Look for a newer bundle after the poll interval."""
        update.poll_later(self._clock(), self._tools.registry.poll_s, self._tools.settings.hint_s)

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

    def _roll_back(self, update: Update, code: str, message: str) -> bool:
        """The model fails on live windows: serve the one before it, and never this one again.

        Returns:
            Whether one was found. If not, it is not looked for again while the bundle serves.
        """
        failing = update.serving
        if update.state is State.ON_TRIAL or failing is None or failing == update.irreplaceable:
            return False
        update.give_up()  # a registry that does not answer must not keep the failing bundle there
        if update.desired.seq is None:
            update.look_soon(self._clock())
        for ref in self._kept.others(failing):
            if self._serve_kept(update, ref):
                self._bulletin.rolled_back(update, failing, code, message)
                pinned = update.desired.seq
                keep = partial(self._kept.replace, failing, ref, pinned, code, message)
                self._tools.worker.submit(keep)
                self._tools.worker.submit(lambda: partial(self._bulletin.current, update))
                return True
        update.irreplaceable = failing
        return False
