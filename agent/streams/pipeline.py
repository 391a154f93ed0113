"""One stream's way from payloads to predictions: route, decode, window, infer, encode.

A pipeline belongs to the hot thread, which calls `take` for every message and `infer` once a turn,
on whatever has arrived since the last turn: one message when the line is quiet, hundreds under
load. Nothing here blocks on a file, a socket or a lock, but inference takes as long as the model
needs. Only `prepare` may be called on another thread.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from agent.config.settings import Limits
from agent.delivery.inputs import Input
from agent.delivery.outgoing import Outgoing
from agent.streams.binding import Binder, fingerprint
from agent.streams.drift import DriftWatch
from agent.streams.holding import Holding
from agent.streams.inference import Inference
from agent.streams.ordering import Intake, Ordering, Origin, take_blocks, with_digests
from agent.streams.poison import PoisonWatch, Suspects
from agent.streams.predictor import Predictor
from agent.streams.shedding import Backlog
from agent.streams.state import State
from agent.streams.taken import Taken
from agent.streams.unread import UnreadSignals
from models.bundle.manifest import Manifest
from models.errors import DecodeError, ReadingError
from models.input.admission import EventTime, Refused
from models.input.memory import Memories
from models.input.pipeline import Pipeline as PipelineSettings
from models.input.routes import Route
from models.windowing.blocks import Blocks
from models.windowing.windows import Windows
from serving.clock import SteadyClock
from serving.model import Model
from serving.mqtt.packets import Received
from serving.time_limit import TimeLimit


class Pipeline:
    """Turns the messages of one stream into predictions.

    Args:
        settings: the stream's topics, payload formats, signals and output.
        limits: how many assets it remembers, and which source times are plausible.
        clock: the clock that stamps messages on arrival; the pipeline makes its own if omitted.
        poison: what earlier runs of the agent have died of; nothing if omitted.
        time_limit: is told which inference is under way; if omitted, nothing interrupts one.

    Attributes:
        settings: as given.
        clock: as given.
        stream: name of the stream.
        model: the model that serves, None until one is activated.
        inference: has complete windows answered; what it counts, and whether the model fails.
        is_stateful: whether a message can influence the answer to a later one. Only messages of
            such a pipeline are noted in the journal.
        doubt: code of the reason for which no reading counts as GOOD now (`Router.doubt`); empty if
            there is none.
        memories: what the inputs have learned from messages.
        unread: counts the signals of readings whose values could not be read.
        holding: takes retained messages, which are never live.
        backlog: messages that wait to be taken, where the setting `overload` allows to drop some;
            else None.
    """

    def __init__(
        self,
        settings: PipelineSettings,
        limits: Limits,
        clock: SteadyClock | None = None,
        poison: PoisonWatch | None = None,
        time_limit: TimeLimit | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or SteadyClock()
        self.stream = settings.stream
        self.model: Model | None = None
        self.doubt = ""
        self.unread = UnreadSignals(settings.stream, limits.log_interval_s)
        self._poison = poison or PoisonWatch()
        self.inference = Inference(
            settings.stream, limits, self.clock, self._poison.under_way, time_limit
        )
        self.is_stateful = False
        self.backlog: Backlog | None = None
        if settings.overload != "block":
            self.backlog = Backlog(settings.overload, limits.max_batch)
        self._limits = limits
        self._event_time = EventTime(limits.time_bounds, self.clock)
        self.memories = Memories(settings.inputs)
        self.holding = Holding(self.unread, self._event_time.of)
        self._binder: Binder | None = None
        self._windows: Windows | Blocks | None = None
        self._ordering: Ordering | None = None
        self._intake: Intake | None = None  # for blocks, and for readings that are put in order
        self._predictor: Predictor | None = None
        self._origins: list[Origin] = []
        self._replayed = 0  # how many of them, from the first on, are of the run before
        self._suspects: Suspects | None = None

    def activate(self, model: Model) -> bool:
        """Serve a model from the next turn on; for the hot thread, between two turns.

        The content of the windows is kept where the new model reads the same signals in the same
        windows; it then also answers those that wait. Otherwise the model before answers them.

        Returns:
            Whether it was kept; if not, the first prediction needs a full window.

        Raises:
            IncompatibleBundleError: the inputs do not carry what the model reads. The model that
                served before goes on serving.
        """
        return self.prepare(model)()

    def prepare(self, model: Model) -> Callable[[], bool]:
        """Check that the inputs carry what a model reads; may be called on any thread.

        Returns:
            Activates the model as `activate` does; to be called on the hot thread.

        Raises:
            IncompatibleBundleError: no input carries one of the model's signals, a signal is bound
                that the model does not read, or the model cannot be fed blocks.
        """
        binder = Binder(self.settings, model.manifest, self.memories)
        predictor = Predictor(model, self.settings, self.clock, self._limits.max_assets)
        predictor.suspects = self._poison.suspects(model.sha256)
        return partial(self._swap, model, binder, predictor)

    @property
    def missing(self) -> Mapping[str, int]:
        """How many samples each signal was missing in, by its name."""
        return self._windows.missing if self._windows is not None else {}

    def awaited(self, asset: str) -> Sequence[str]:
        """Signals that have not reported to the asset's current sample, where one has begun."""
        return self._windows.awaited(asset) if self._windows is not None else []

    @property
    def forgotten_assets(self) -> int:
        """How many assets gave up their windows to others, because of `limits.max_assets`."""
        return self._windows.forgotten if self._windows is not None else 0

    @property
    def due(self) -> int:
        """How many windows are complete and wait for inference."""
        return len(self._origins) + len(self.inference)

    def waiting_inputs(self) -> set[Input]:
        """The inputs of all windows that wait for inference, and of messages to be taken."""
        inputs = {*self.inference.sources, *(origin.source for origin in self._origins)}
        if self.backlog is not None:
            inputs.update(self.backlog.sources)
        return inputs

    @property
    def shed(self) -> int:
        """How many messages were dropped because more arrived than could be answered."""
        return self.backlog.shed if self.backlog is not None else 0

    @property
    def disorder(self) -> Mapping[str, Any]:
        """The entry `disorder` of the metrics; empty where readings are not put in order."""
        return {"disorder": self._ordering.counters} if self._ordering is not None else {}

    @property
    def drift(self) -> Mapping[str, Any]:
        """The entry `drift` of the metrics; empty where the bundle has no reference."""
        return {"drift": self.watch.snapshot()} if self.watch is not None else {}

    @property
    def watch(self) -> DriftWatch | None:
        """Watches inputs and scores for drift; None where the bundle has no reference."""
        return self._predictor.drift if self._predictor is not None else None

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides how messages become windows; empty without a model.

        State that was written under another fingerprint does not fit these windows.
        """
        return fingerprint(self.settings, self.model.manifest) if self.model is not None else ""

    def states(self) -> Iterator[State]:
        """The state of each asset's windows, and at last that of the stream itself.

        May be consumed over several turns while messages are taken: each state is that of the
        moment in which it is yielded.
        """
        if self._windows is None or not self.is_stateful:
            return
        for asset, remembered in self._windows.states():
            yield State(self.stream, asset, remembered)
        yield State(self.stream, None, [self._event_time.last_arrival_ns, *self.memories.dump()])

    def restore(self, state: State) -> None:
        """Restore one of the states that `states` has yielded, under the same fingerprint."""
        if self._windows is None:
            return
        if state.asset is not None:
            self._windows.restore(state.asset, state.remembered)
        else:
            self._event_time.last_arrival_ns, *learned = state.remembered
            self.memories.load(learned)

    def forget(self) -> None:
        """Forget what is remembered of every asset, which then starts with an empty window."""
        if self._windows is not None:
            self._windows.forget([asset for asset, _ in self._windows.states()])

    def discard(self) -> None:
        """Drop the complete windows without inference: the journal says they were answered.

        Those that were set aside are kept.
        """
        self._origins.clear()
        if self._windows is not None:
            self._windows.discard()

    def replayed(self) -> None:
        """Note that the complete windows may have been answered before a crash."""
        self._replayed = len(self._origins)

    def set_aside(self) -> None:
        """Let the complete windows wait for `infer` where `discard` does not reach them."""
        self.replayed()
        while (taken := self._take_out()) is not None:
            self.inference.add(taken)

    def route(self, topic: str) -> Route | None:
        """What a topic means to this pipeline; None if no input matches, or there is no model."""
        return self._binder.route(topic) if self._binder is not None else None

    def without_model(self, topic: str) -> Route | None:
        """The route of a topic whose messages are dropped, because no model has arrived yet."""
        if self.model is not None or all(one.difference(topic) for one in self.settings.inputs):
            return None
        return Route("", (), Refused("no_model"), "")

    def take(self, route: Route, message: Received, source: Input) -> None:
        """Decode a message and add its readings to the windows of its asset; does not block.

        The caller has checked the message by `models.input.admission.refusal`. It settles `source`
        with the delivery after the next `infer`, whether or not this raises.

        Raises:
            DecodeError: the message is dropped as a whole, and nothing is remembered of it.
            ReadingError: the message, or a reading in it, is dropped; the caller counts `reason`.
                The message's other readings have been taken, and windows that they complete are
                answered. Where several readings are dropped, the last one's reason is raised.
        """
        windows = self._windows
        if windows is None:
            raise DecodeError("no_model")
        if self._suspects is not None and self._suspects.has(message):
            windows.forget(route.assets(message.payload))  # it may also be an earlier sample
            raise DecodeError("poison")
        if self._intake is not None:
            for origin in self._intake(source, route, message, self._event_time.of):
                self._origins.append(origin)  # one by one: a refusal comes at the end
            return
        # The plain way is written out here although `Ordering.take` does much the same: it runs for
        # nearly every message, and a generator would cost more than the loop.
        push: Callable[..., int] = windows.push
        made, refusal = 0, None
        for part, reading in route.readings(message.payload):
            time_ns, values, quality, position, unread = reading
            if unread:
                self.unread.note(part, message.topic, unread)
            try:
                at_ns = self._event_time.of(time_ns, message)
                due = push(part.asset, at_ns, part.channels, values, quality)
            except ReadingError as exc:
                refusal = exc
                continue
            for ordinal in range(made, made + due):
                origin = Origin(source, part, message, position, ordinal, message.payload)
                self._origins.append(origin)
            made += due
        if refusal is not None:
            raise ReadingError(refusal.reason)

    def _swap(self, model: Model, binder: Binder, predictor: Predictor) -> bool:
        """Exchange the references; windows are made anew only where they are cut otherwise."""
        manifest = model.manifest
        before = self.model.manifest if self.model is not None else None
        cut = (manifest.window, manifest.channels)
        kept = before is not None and (before.window, before.channels) == cut
        while not kept and (taken := self._take_out()) is not None:
            self.inference.add(taken)
        self.inference.activate(predictor, takes_over=kept)
        if self._windows is None or not kept:
            self._windows = self._open_windows(manifest)
            self.holding.follow(self._windows)
        self.model, self._binder, self._predictor = model, binder, predictor
        self._suspects = predictor.suspects
        self.unread.names = [channel.name for channel in manifest.channels]
        self.is_stateful = not (
            binder.is_whole and self._windows.is_stateless and self._ordering is None
        )
        return kept

    def _open_windows(self, manifest: Manifest) -> Windows | Blocks:
        """Choose how readings become windows: once for a model, not for every message."""
        max_assets = self._limits.max_assets
        self._intake = self._ordering = None
        if self.settings.is_of_blocks:
            blocks = Blocks(manifest.window, manifest.channels, max_assets)
            self._intake = partial(take_blocks, blocks)
            return blocks
        windows = Windows(manifest.window, manifest.channels, max_assets)
        if disorder_ms := self.settings.disorder_ms:
            self._ordering = Ordering(windows, disorder_ms, self._limits.max_waiting, self.unread)
            self._intake = self._ordering.take
        return windows

    def infer(self, now_ns: Callable[[], int], *, within_ns: float | None = None) -> list[Outgoing]:
        """Answer complete windows, in order, and return the publishes for the delivery.

        No call of the model takes longer than `limits.turn_s`, as far as its time for a window is
        known. A model that fails raises nothing: its windows are answered without a value and with
        quality BAD, and `inference.failure` says why.

        Args:
            now_ns: returns the time by the clock that stamped the messages, nanoseconds since 1970.
            within_ns: nanoseconds after which the other windows are left for the next time; at
                least one window is answered. If omitted, all are.
        """
        return self.inference.answer(self._take_out, now_ns, within_ns=within_ns)

    def _take_out(self) -> Taken | None:
        """Take complete windows out of the stream, for the model that serves; None without any."""
        if not self._origins or self._windows is None or self._predictor is None:
            return None
        batch = self._windows.take()  # blocks hand over at most 16 MB of samples at a time
        origins, self._origins = self._origins, []
        if len(batch.assets) < len(origins):
            count = len(batch.assets)
            origins, self._origins = origins[:count], origins[count:]
        if self.settings.is_of_blocks:
            origins = list(with_digests(origins))
        replayed = min(self._replayed, len(origins))
        self._replayed -= replayed
        return Taken(self._predictor, batch, origins, replayed)
