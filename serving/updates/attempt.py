"""One attempt to bring a stream to the bundle that is desired. All of it blocks: for the worker.

    pull (child: TUF, download) ──► proof (child: load, answer, measure) ──► load ──► ready

The proof comes first, so that a graph which crashes or never ends does so in a child process; here
only what has passed it is loaded, and it answers its golden vectors once more.

An attempt reports what has happened as events. It changes nothing that serves: the swap is made by
the hot thread (`serving.updates.updater`), which is the only one to touch an `Update`.
"""

import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from models.bundle.identity import BundleRef
from models.bundle.package import StoredBundle, load_bundle
from models.control.documents import Desired
from models.errors import IncompatibleBundleError, MillhandError
from serving import memory
from serving.incidents.account import Account
from serving.model import Model, prove
from serving.proof.prover import Prover
from serving.proof.refusals import LatencyError
from serving.registry.part import Part, Situation
from serving.registry.pull import PullRequest, pull
from serving.registry.refusals import storage_error
from serving.registry.settings import Registry
from serving.runtime.device import CPU, Device
from serving.store import Store
from serving.updates.freshness import Freshness
from serving.updates.rollout import Change
from serving.updates.settings import Updates
from serving.updates.slot import Slot
from serving.worker import Worker


@dataclass(frozen=True, slots=True)
class Downloading:
    """Some of the bundle has arrived.

    Attributes:
        progress: how much, in per cent.
    """

    progress: int


@dataclass(frozen=True, slots=True)
class Assigned:
    """What a rollout of the stream asks of this gateway is known.

    Attributes:
        part: what it asks; None where the stream has no rollout.
        change: the last change that a rollout has asked for, as it is on disk.
    """

    part: Part | None
    change: Change | None


@dataclass(frozen=True, slots=True)
class Verified:
    """The bundle on disk is the one that was signed."""

    ref: BundleRef


@dataclass(frozen=True, slots=True)
class Slow:
    """The model takes longer than allowed on this machine, and serves all the same."""

    error: LatencyError


@dataclass(frozen=True, slots=True)
class Proven:
    """The model answers its golden vectors, and the program can feed it.

    Attributes:
        model: ready to serve.
        swap: activates it, see `Slot.prepare`.
    """

    model: Model
    swap: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The bundle that is desired serves already."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What serves is on disk, and will serve after a restart.

    Attributes:
        is_new: whether the record on disk had to be changed.
    """

    is_new: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt has ended without the bundle that is desired."""

    error: MillhandError


Event = Downloading | Assigned | Verified | Slow | Proven | Unchanged | Recorded | Failed


@dataclass(frozen=True, slots=True)
class Tools:
    """What attempts work with.

    Attributes:
        registry: where bundles come from.
        store: where they are kept.
        worker: the thread that attempts run on.
        prover: proves them before they serve.
        account: what earlier runs of the program have died of, and which bundles it avoids.
        settings: which bundles may be selected.
        device: device that models run on. The proof itself is made on the processor.
        freshness: remembers when metadata of the registry were accepted last.
    """

    registry: Registry
    store: Store
    worker: Worker
    prover: Prover
    account: Account
    settings: Updates
    device: Device = CPU
    freshness: Freshness = field(default_factory=Freshness)

    def load(self, ref: BundleRef, bundle: StoredBundle) -> Model:
        """Build the model of a bundle; should the program die of it, the next run knows.

        Raises:
            BundleError: see `serving.model.prove`.
        """
        self.account.under_way.load(ref.sha256)
        try:
            return prove(bundle, self.device)
        finally:
            self.account.under_way.loaded()

    def unwanted(self, stream: str) -> frozenset[str]:
        """Digests of the stream's bundles in quarantine, which are not kept on disk."""
        return frozenset(one.sha256 for one in self.account.quarantine.bundles(stream))


class _Cancelled:
    """Set once an attempt was given up, or the program ends.

    Args:
        events: the events of both.
    """

    def __init__(self, *events: threading.Event) -> None:
        self._events = events

    def is_set(self) -> bool:
        """Whether one of them has happened."""
        return any(one.is_set() for one in self._events)


class Attempt:
    """One attempt for one stream.

    Args:
        desired: the bundle that the stream should run.
        slot: where its model is to serve.
        tools: what to work with.
        report: called on the hot thread with each event, in the order in which they happened.
        situation: what the gateway knows of itself; None takes no part in rollouts.

    Attributes:
        desired: as given.
        passed_over: digests of bundles that are not brought there, as if they were there already.
    """

    def __init__(
        self,
        desired: Desired,
        slot: Slot,
        tools: Tools,
        report: Callable[["Attempt", Event], None],
        *,
        situation: Situation | None = None,
    ) -> None:
        self.desired = desired
        self.passed_over: AbstractSet[str] = frozenset()
        self._situation = situation
        self._slot = slot
        self._serving = slot.model.ref if slot.model is not None else None
        self._tools = tools
        self._report = report
        self._given_up = threading.Event()
        self._cancelled = _Cancelled(self._given_up, tools.worker.stopping)

    def give_up(self) -> None:
        """End the pull or the proof that is under way, and report nothing more; hot thread only."""
        self._given_up.set()

    def begin(self) -> None:
        """Queue the work up to the proof; ends with `Proven`, `Unchanged` or `Failed`."""
        self._tools.worker.submit(self._prove)

    def record(self, ref: BundleRef) -> None:
        """Queue the writing of what serves; ends with `Recorded` or `Failed`."""
        self._tools.worker.submit(lambda: self._record(ref))

    def set_aside(self, ref: BundleRef) -> None:
        """Queue that a bundle which does not serve is kept, so that it is not fetched again."""
        self._tools.worker.submit(lambda: self._tools.store.set_aside(ref))

    def _tell(self, event: Event) -> None:
        self._tools.worker.post(lambda: self._reported(event))

    def _reported(self, event: Event) -> None:
        """On the hot thread: report, unless the attempt was given up in the meantime."""
        if not self._given_up.is_set():
            self._report(self, event)
        elif isinstance(event, Proven):
            self.set_aside(event.model.ref)

    def _prove(self) -> None:
        try:
            ref = self._pull()
            if ref == self._serving or ref.sha256 in self.passed_over:
                self._tell(Unchanged())
                return
            self._tools.prover.check(ref.sha256)
            self._tell(Verified(ref))
            self._tell(self._proven(ref))
        except MillhandError as exc:
            self._tell(Failed(exc))
        except OSError as exc:
            self._tell(Failed(storage_error(exc, "the bundle")))

    def _pull(self) -> BundleRef:
        registry, store = self._tools.registry, self._tools.store
        stream = self.desired.stream
        active, may_lower = store.active(stream), self._tools.settings.allow_downgrade
        quarantined = self._tools.account.quarantine.bundles(stream)
        request = PullRequest(
            url=registry.url,
            root=registry.root,
            state_dir=store.state_dir,
            stream=stream,
            seq=self.desired.seq,
            destination_dir=store.bundles_dir,
            max_bytes=registry.max_bundle_bytes,
            deadline_s=registry.deadline_s,
            quarantined=tuple(one.sha256 for one in quarantined),
            has_run=active.has_run if active is not None and not may_lower else (),
            kept=tuple(ref.sha256 for ref in active.candidates) if active is not None else (),
            refused=self._tools.prover.refused(),
            access=registry.access,
            situation=self._situation,
        )

        def on_progress(received: int, total: int) -> None:
            self._tell(Downloading(round(100 * received / max(total, 1))))

        parts: list[Part] = []

        def on_rollout(part: Part) -> None:
            parts.append(part)
            self._tell(Assigned(part, Change.read(store.state_dir, stream)))

        ref = pull(
            request,
            on_progress=on_progress,
            cancelled=self._cancelled,
            on_resolved=lambda withdrawn: store.note_withdrawn(stream, withdrawn),
            on_rollout=on_rollout,
        )
        self._tools.freshness.note()
        if parts:
            self._remember(ref, parts[0])
        elif self._situation is not None:
            self._tell(Assigned(None, None))
        return ref

    def _remember(self, ref: BundleRef, part: Part) -> None:
        """Write down what served here before a rollout, so that it can be brought back."""
        serving, folder = self._serving, self._tools.store.state_dir
        if ref.seq != part.seq or part.role == "pinned" or ref == serving:
            return
        change = Change.read(folder, ref.stream)
        if change is None or change.rollout != part.rollout:
            former = serving.seq if serving is not None else None
            change = Change(stream=ref.stream, rollout=part.rollout, seq=ref.seq, former=former)
            change.write(folder)
            self._tell(Assigned(part, change))

    def _proven(self, ref: BundleRef) -> Proven:
        store = self._tools.store
        try:
            _, slow = self._tools.prover.prove(ref.sha256, store.path(ref), self._cancelled)
            if slow is not None:
                self._tell(Slow(slow))
            bundle = load_bundle(store.path(ref))
            if bundle.ref != ref:
                raise IncompatibleBundleError(
                    f"signed as {ref}, but the manifest inside says {bundle.ref}"
                )
            model = self._tools.load(ref, bundle)
            return Proven(model, self._slot.prepare(model))
        except MillhandError:
            store.set_aside(ref)
            raise

    def _record(self, ref: BundleRef) -> None:
        memory.give_back()  # the model before is gone by now
        store, pinned = self._tools.store, self.desired.seq
        active = store.active(ref.stream)
        is_new = active is None or (active.serving, active.pinned) != (ref, pinned)
        try:
            if is_new:
                store.commit(ref, pinned, self._tools.unwanted(ref.stream))
                self._tools.prover.sweep(store.digests())
        except OSError as exc:
            self._tell(Failed(storage_error(exc, "the new record")))
        else:
            self._tell(Recorded(is_new))
