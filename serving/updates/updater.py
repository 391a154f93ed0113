"""New models: wished for by push or poll, proven on the worker, swapped in by the loop.

    desired / poll ──► pull (child: TUF, download) ──► read ──► session ──► golden ──► activate

Whatever fails on the way, the running model is untouched and `feedback` carries the error's code.
A transient failure is tried again with growing waits, a refusal at the next poll or push.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import orjson

from models.bundle.package import Bundle, read_bundle
from models.errors import BundleError, IncompatibleBundleError, MillhandError
from serving import log, memory
from serving.model import Model, prove
from serving.registry.pull import Pulled, PullRequest, pull
from serving.registry.refusals import storage_error
from serving.registry.settings import Registry
from serving.store import Kept, Store
from serving.updates.slot import Announcer, Slot
from serving.worker import Worker

MAX_FAILED_BATCHES = 3
_FIRST_RETRY_S = 5.0
MAX_DESIRED_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Wish:
    """What a stream should run: a seq that a push selected, or the newest if None."""

    seq: int | None = None
    activity: str = ""


@dataclass(slots=True)
class _Stream:
    """Where one stream's updates stand; touched by the hot thread only."""

    slot: Slot
    wish: Wish = Wish()
    busy: bool = False
    rolled_back: Wish | None = None
    due_s: float = 0.0
    failures: int = 0
    activity: str = ""
    trouble: str = ""


class Updater:
    """Keeps every stream on the bundle it should run.

    Args:
        registry: where bundles come from.
        store: where they are kept.
        worker: does what is slow.
        control: tells how it goes.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        registry: Registry,
        store: Store,
        *,
        worker: Worker,
        control: Announcer,
        clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._store = store
        self._worker = worker
        self._control = control
        self._clock = clock
        self._streams: dict[str, _Stream] = {}
        self._activated: Callable[[], None] = lambda: None

    @property
    def troubles(self) -> list[str]:
        """What updates wait for, in words, one a stream. Serving never waits for it."""
        return [stream.trouble for stream in self._streams.values() if stream.trouble]

    def start(self, slots: Mapping[str, Slot], activated: Callable[[], None]) -> None:
        """Serve what is kept on disk, without a network; `activated` is called at every swap."""
        self._activated = activated
        try:
            self._store.sweep()
        except OSError as exc:
            log.warning("bundles cannot be tidied up", reason=exc.strerror)
        for name, slot in slots.items():
            stream = self._streams[name] = _Stream(slot)
            record = self._store.active(name)
            if record is None:
                continue
            stream.wish = Wish(record.pinned)
            for kept in record.candidates:
                if self._serve_kept(slot, kept):
                    break
            stream.due_s = self._clock() + random.uniform(1.0, 30.0)  # noqa: S311  jitter

    def announce(self) -> None:
        """Publish `current` of every stream, as after each connect."""
        for name in self._streams:
            self._announce(name)

    def desire(self, name: str, payload: bytes) -> None:
        """Take a `desired` document; an empty one goes back to following the newest."""
        stream = self._streams.get(name)
        if stream is None:
            return
        try:
            wish = _read_wish(name, payload)
        except IncompatibleBundleError as exc:
            self._tell(name, Wish(), "refused", exc)
            return
        if wish.seq is not None and wish == stream.rolled_back:
            return  # the retained document again, as after every connect
        if wish == stream.wish and wish.seq in (None, self._serving_seq(name)):
            return
        stream.wish, stream.failures, stream.due_s = wish, 0, 0.0
        self.tick()

    def tick(self) -> None:
        """Start what is due; to be called about once a second."""
        for name, stream in self._streams.items():
            if stream.busy:
                continue
            if stream.slot.failed_batches >= MAX_FAILED_BATCHES:
                self._roll_back(name, stream)
            elif self._clock() >= stream.due_s:
                stream.busy = True
                model = stream.slot.model
                self._worker.submit(partial(self._update, name, stream.wish, model))

    def _serve_kept(self, slot: Slot, kept: Kept) -> bool:
        """Activate a bundle from disk; says why not, and that the next is tried."""
        try:
            bundle = self._store.load(kept)
            model = _prove(bundle, slot)
        except BundleError as exc:
            log.error("kept bundle refused", stream=slot.stream, seq=kept.seq, reason=str(exc))
            return False
        slot.activate(model)
        self._activated()
        log.info("serving kept bundle", stream=slot.stream, seq=kept.seq, version=kept.version)
        return True

    def _update(self, name: str, wish: Wish, serving: Model | None) -> Callable[[], None]:
        """On the worker: resolve, download, verify and prove, and say what the loop shall do."""
        try:
            pulled = self._pull(name, wish)
            if serving is not None and pulled.sha256 == serving.sha256:
                return self._record(name, wish, serving)
            self._worker.post(partial(self._tell, name, wish, "verifying", seq=pulled.seq))
            model = self._proven(name, pulled)
        except MillhandError as exc:
            return partial(self._failed, name, wish, exc)
        except OSError as exc:
            return partial(self._failed, name, wish, storage_error(exc, "the bundle"))
        return partial(self._activate, name, wish, model)

    def _proven(self, name: str, pulled: Pulled) -> Model:
        try:
            bundle = read_bundle(pulled.path.read_bytes())
            _check_identity(bundle, name, pulled)
            return _prove(bundle, self._streams[name].slot)
        except BundleError:
            self._store.set_aside(name, pulled.sha256)
            raise

    def _pull(self, name: str, wish: Wish) -> Pulled:
        request = PullRequest(
            url=self._registry.url,
            root=self._registry.root,
            state_dir=self._store.state_dir,
            stream=name,
            seq=wish.seq,
            destination_dir=self._store.bundles_dir,
            max_bytes=self._registry.max_bundle_bytes,
            deadline_s=self._registry.deadline_s,
        )

        def on_progress(received: int, total: int) -> None:
            progress = round(100 * received / max(total, 1))
            self._worker.post(partial(self._tell, name, wish, "downloading", progress=progress))

        return pull(request, on_progress=on_progress, cancelled=self._worker.stopping)

    def _activate(self, name: str, wish: Wish, model: Model) -> None:
        """On the hot thread, between two turns: the swap itself is one reference."""
        stream = self._streams[name]
        manifest = model.manifest
        if wish != stream.wish:
            self._tell(name, wish, "superseded", seq=manifest.seq)
            self._worker.submit(partial(self._store.set_aside, name, model.sha256))
            self._again(stream, 0.0)
            return
        kept_windows = stream.slot.activate(model)
        self._activated()
        log.info(
            "model activated",
            stream=name,
            seq=manifest.seq,
            version=manifest.version,
            sha256=model.sha256,
            windows="kept" if kept_windows else "restarted",
        )
        self._worker.submit(partial(self._record, name, wish, model))

    def _record(self, name: str, wish: Wish, model: Model) -> Callable[[], None]:
        """On the worker: make what serves, and what selected it, survive a restart."""
        memory.give_back()  # the model before is gone by now
        record = self._store.active(name)
        known = record is not None and (record.serving, record.pinned) == (_kept(model), wish.seq)
        if not known:
            try:
                self._store.commit(name, _kept(model), wish.seq)
            except OSError as exc:
                return partial(self._failed, name, wish, storage_error(exc, "the new record"))
        return partial(self._confirmed, name, wish, recorded=not known)

    def _confirmed(self, name: str, wish: Wish, *, recorded: bool) -> None:
        stream = self._streams[name]
        stream.failures, stream.trouble = 0, ""
        if recorded or wish.activity != stream.activity:
            stream.activity = wish.activity
            self._tell(name, wish, "activated", seq=self._serving_seq(name))
            self._announce(name)
        self._again(stream, None if wish == stream.wish else 0.0)

    def _failed(self, name: str, wish: Wish, error: MillhandError) -> None:
        stream = self._streams[name]
        stream.failures += 1
        self._tell(name, wish, "refused" if isinstance(error, BundleError) else "waiting", error)
        if (trouble := f"update of {name}: {error}") != stream.trouble:
            stream.trouble = trouble
            log.warning(
                "update failed", stream=name, seq=wish.seq, code=error.code, reason=str(error)
            )
        if wish != stream.wish:
            self._again(stream, 0.0)
        elif isinstance(error, BundleError):
            self._again(stream)
        else:
            wait = _FIRST_RETRY_S * 2 ** min(stream.failures - 1, 16)
            self._again(stream, min(wait, self._registry.poll_s) * random.uniform(0.5, 1.0))  # noqa: S311  jitter

    def _roll_back(self, name: str, stream: _Stream) -> None:
        """The model fails on live windows: serve the one before it, until somebody selects anew."""
        stream.slot.failed_batches = 0
        record = self._store.active(name)
        for kept in record.earlier if record is not None else ():
            if self._serve_kept(stream.slot, kept):
                stream.rolled_back, stream.wish = stream.wish, Wish(kept.seq)
                wish = stream.wish
                self._tell(name, wish, "rolled_back", seq=kept.seq)
                self._worker.submit(partial(self._remember, name, kept))
                return

    def _remember(self, name: str, kept: Kept) -> Callable[[], None]:
        """On the worker: what was rolled back to also serves after a restart."""
        try:
            self._store.commit(name, kept, kept.seq)
        except OSError as exc:
            return partial(log.error, "roll back cannot be recorded", reason=str(exc.strerror))
        return partial(self._announce, name)

    def _again(self, stream: _Stream, wait_s: float | None = None) -> None:
        stream.busy = False
        if wait_s is None:
            wait_s = self._registry.poll_s * random.uniform(0.5, 1.5)  # noqa: S311  jitter
        stream.due_s = self._clock() + wait_s

    def _serving_seq(self, name: str) -> int | None:
        model = self._streams[name].slot.model
        return model.manifest.seq if model is not None else None

    def _announce(self, name: str) -> None:
        stream = self._streams[name]
        model = stream.slot.model
        document: dict[str, object] = {"state": "waiting", "seq": None}
        if model is not None:
            kept = _kept(model)
            document = {"state": "serving", **kept.model_dump()}
        self._control.current(name, {**document, "activity": stream.activity})

    def _tell(
        self,
        name: str,
        wish: Wish,
        state: str,
        error: MillhandError | None = None,
        **more: object,
    ) -> None:
        document = {"activity": wish.activity, "stream": name, "seq": wish.seq, "state": state}
        if error is not None:
            document |= {"error": error.code, "message": str(error)[:1000]}
        self._control.feedback({**document, **more})


def _prove(bundle: Bundle, slot: Slot) -> Model:
    """Check that the model fits the topics, build the session, and replay the golden vectors."""
    slot.check(bundle.manifest)
    return prove(bundle)


def _check_identity(bundle: Bundle, stream: str, pulled: Pulled) -> None:
    manifest = bundle.manifest
    if bundle.sha256 != pulled.sha256 or (manifest.stream, manifest.seq) != (stream, pulled.seq):
        raise IncompatibleBundleError(
            f"signed as {stream}#{pulled.seq}, but the manifest inside says {bundle.label}"
        )


def _kept(model: Model) -> Kept:
    manifest = model.manifest
    return Kept(seq=manifest.seq, version=manifest.version, sha256=model.sha256)


def _read_wish(name: str, payload: bytes) -> Wish:
    if not payload:
        return Wish()
    try:
        document = orjson.loads(payload[:MAX_DESIRED_BYTES])
        seq, activity = document["seq"], str(document.get("activity", ""))[:128]
        if document.get("stream", name) == name and type(seq) is int and seq >= 1:
            return Wish(seq, activity)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        pass
    raise IncompatibleBundleError(
        f"desired document of {name} must be JSON with stream '{name}' and a seq from 1"
    )
