"""What a worker does that does not lead: it serves what the first worker has brought up to date.

The first worker pulls a bundle, has it proven, serves it, and records it in the store. The others
read that record about once a second, load what it names from disk, and replay its golden vectors.
So there is one download and one proof, whatever the number of workers; they swap one after the
other, and nothing else has to be agreed upon.

A model that fails in one of the others is told to the first, which replaces it as one of its own.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any, ClassVar, Final

from models.bundle.identity import BundleRef
from models.control.document import MAX_MESSAGE
from models.control.documents import Feedback
from models.errors import BundleError
from server.settings import Stream
from server.streams.announcer import Notices
from server.streams.slot import StreamSlot
from serving import log, memory
from serving.errors import InferenceError, ModelFailedError, NotFiniteError, TimedOutError
from serving.failure import MAX_FAILED_BATCHES, Failure
from serving.model import Model
from serving.updates.attempt import Tools
from serving.updates.kept import KILLED, KeptBundles

_RETRY_S: Final = 30.0
_FIRST_S: Final = 0.1  # between two looks for the first model of a stream
_Call = Callable[[], None]


class KilledError(InferenceError):
    """A worker has died of the model more than once."""

    code: ClassVar[str] = KILLED


_ERRORS: Final[Mapping[str, type[InferenceError]]] = {
    one.code: one for one in (ModelFailedError, NotFiniteError, TimedOutError, KilledError)
}


class Follower:
    """Serves what the store says; all methods but `_look` belong to the event loop's thread.

    Args:
        tools: store and worker, and what earlier runs of this worker have died of.
        streams: the streams of the configuration.
        slots: where their models serve.
        notices: is told how updates went in the first worker.
    """

    def __init__(
        self,
        tools: Tools,
        streams: Sequence[Stream],
        slots: Mapping[str, StreamSlot],
        notices: Notices,
    ) -> None:
        self._tools, self._streams = tools, streams
        self._slots, self._notices = slots, notices
        self._kept = KeptBundles(tools)
        self._is_looking = self._is_due = False
        self._failed: dict[str, tuple[BundleRef, float]] = {}
        self._killed: dict[str, tuple[str, str]] = {}

    def start(self) -> None:
        """Serve what the store says; blocks while models are loaded."""
        self._look(dict.fromkeys(self._slots, ()))()

    def tick(self) -> None:
        """Look for what the store says now; to be called about once a second."""
        if not self._is_looking:
            self._is_looking = True
            have = {name: slot.refs for name, slot in self._slots.items()}
            self._tools.worker.submit(lambda: self._look(have))

    def told(self) -> dict[str, Any]:
        """What the first worker has to know: the models that fail here."""
        found = {name: [digest, KILLED, why] for name, (digest, why) in self._killed.items()}
        for name, slot in self._slots.items():
            failure, model = slot.failure, slot.model
            if failure is not None and failure.is_lasting and model is not None:
                found[name] = [model.sha256, failure.error.code, str(failure.error)[:MAX_MESSAGE]]
        return {"failures": found}

    def hear(self, told: Sequence[Mapping[str, Any]]) -> None:
        """Take how the updates went, which clients ask for."""
        for one in told:
            for name, outcome in one.get("outcomes", {}).items():
                self._notices.outcomes[name] = Feedback.model_construct(stream=name, **outcome)

    def _look(self, have: Mapping[str, Sequence[BundleRef]]) -> _Call:
        """Load what is missing; returns what swaps it in. Blocks: for the worker."""
        calls = [call for one in self._streams for call in self._changes(one, have[one.stream])]

        def swap() -> None:
            self._is_looking = False
            for call in calls:
                call()
            if calls:
                self._tools.worker.submit(memory.give_back)
            if not self._is_due and not all(slot.versions for slot in self._slots.values()):
                self._is_due = True
                asyncio.get_running_loop().call_later(_FIRST_S, self._look_again)

        return swap

    def _look_again(self) -> None:
        """Look sooner than in a second, as clients are refused until there is a model."""
        self._is_due = False
        self.tick()

    def _changes(self, stream: Stream, have: Sequence[BundleRef]) -> Iterator[_Call]:
        """What brings a stream to what the store says."""
        active, slot = self._tools.store.active(stream.stream), self._slots[stream.stream]
        if active is None:
            return
        fit = [ref for ref in active.candidates if not self._is_deadly(ref)]
        if not fit:
            return
        wanted = fit[: stream.versions]
        if wanted[0] not in have[:1] and (model := self._loaded(wanted[0])) is not None:
            yield _swap(slot, model)
        elif not have:
            return
        for ref in wanted[1:]:
            if ref not in have and (model := self._loaded(ref)) is not None:
                yield _adding(slot, model)
        if not {*have} <= {*wanted}:
            digests = {ref.sha256 for ref in wanted}
            yield lambda: slot.keep(digests)

    def _is_deadly(self, ref: BundleRef) -> bool:
        """Whether this worker has died so often of a model that the first must replace it."""
        account = self._tools.account
        deaths = account.deaths.of_model(ref.sha256)
        if not deaths or not account.is_deadly(ref, has_other=bool(self._kept.others(ref))):
            return False
        self._killed[ref.stream] = ref.sha256, f"a worker has died {deaths} times of this model"
        return True

    def _loaded(self, ref: BundleRef) -> Model | None:
        """The model of a bundle; None where it cannot be loaded, which is tried again later."""
        failed, until_s = self._failed.get(ref.stream, (None, 0.0))
        if failed == ref and monotonic() < until_s:
            return None
        self._failed[ref.stream] = ref, monotonic() + _RETRY_S
        try:
            model = self._tools.load(ref, self._tools.store.load(ref))
        except BundleError as exc:
            log.error("bundle cannot be loaded", stream=ref.stream, seq=ref.seq, reason=str(exc))
            return None
        del self._failed[ref.stream]
        return model


class Leader:
    """What the first worker tells the others and hears from them.

    Args:
        slots: where models serve.
        notices: what updates have said.
    """

    def __init__(self, slots: Mapping[str, StreamSlot], notices: Notices) -> None:
        self._slots, self._notices = slots, notices

    def told(self) -> dict[str, Any]:
        """What the others have to know: how the last update of each stream went."""
        outcomes = self._notices.outcomes
        return {
            "outcomes": {
                name: {"state": one.state, "error": one.error, "message": one.message}
                for name, one in outcomes.items()
            }
        }

    def hear(self, told: Sequence[Mapping[str, Any]]) -> None:
        """Take which models fail in other workers."""
        for name, slot in self._slots.items():
            failures = [one["failures"][name] for one in told if name in one.get("failures", {})]
            slot.elsewhere = {
                digest: Failure(_ERRORS.get(code, ModelFailedError)(message), MAX_FAILED_BATCHES)
                for digest, code, message in failures
            }


def _swap(slot: StreamSlot, model: Model) -> _Call:
    exchange, ref = slot.prepare(model), model.ref

    def call() -> None:
        exchange()
        log.info("model activated", stream=ref.stream, seq=ref.seq, version=ref.version)

    return call


def _adding(slot: StreamSlot, model: Model) -> _Call:
    return lambda: slot.add_earlier(model)
