"""The sole composition root: from settings to a server that can run."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Final

from models.control.documents import Desired
from models.errors import BundleError
from server.access.guard import Guard
from server.access.page_session import PageSession
from server.batching.scheduler import Scheduler, Version
from server.console.api import Api
from server.console.fleet import Fleet
from server.console.plant import now_ms
from server.console.watch import Folder, Watch
from server.http.application import Application
from server.http.listener import Listener
from server.http.routes import Routes, Table
from server.http.tally import Tally
from server.metrics.collector import Sources
from server.metrics.exposition import Exposition
from server.oip.handlers import OpenInference
from server.oip.reasons import ReasonsOutput
from server.openapi.handler import OpenApi
from server.predict.answering import Answering
from server.predict.handlers import Streams
from server.predict.scoring import Scoring
from server.repository.control import RepositoryControl
from server.settings import Settings
from server.streams.announcer import Notices
from server.streams.served import ServedStreams
from server.streams.slot import StreamSlot
from server.workers.follower import Follower, Leader
from server.workers.parent import Asked, Place
from serving import log, memory
from serving.incidents.account import Account
from serving.program.notify import Notifier
from serving.proof.prover import Prover
from serving.runtime.chosen import choose
from serving.store import Store
from serving.time_limit import TimeLimit
from serving.updates.attempt import Tools
from serving.updates.kept import KeptBundles
from serving.updates.updater import Updater
from serving.worker import Workers

if TYPE_CHECKING:
    from server.retraining.service import RetrainingService
    from server.rollouts.service import RolloutService
    from server.rpc.listener import RpcListener

_TICK_S: Final = 1.0
_POISON_DEATHS: Final = 3


class Program:
    """Everything that serves, put together.

    Args:
        settings: the configuration.
        report_signals: logs signals that were ignored; called about once a second.
        place: the place of this process among several workers; None where it is the only one.

    Attributes:
        tally: counts requests.
        routes: everything that is answered.
    """

    def __init__(
        self, settings: Settings, report_signals: Callable[[], None], place: Place | None = None
    ) -> None:
        memory.share_arenas()
        state_dir, limits = settings.server.state_dir, settings.limits
        self._settings, self._workers = settings, Workers()
        self._report_signals, self._place = report_signals, place
        updates = self._workers.start("updates")
        account = Account(state_dir, _POISON_DEATHS, place.page if place else "under-way")
        prover = Prover(state_dir / "proofs", settings.proof, limits.max_batch)
        store = Store(state_dir, limits.keep_bundles)
        device = choose(settings.inference)
        if device.reason:
            log.warning("device falls back to the processor", reason=device.reason)
        self._tools = Tools(
            settings.registry, store, updates, prover, account, settings.updates, device
        )
        self._notices = Notices()
        self._updater = Updater(self._tools, self._notices, monotonic)
        time_limit = TimeLimit(limits.inference_s)
        time_limit.watch(self._workers.start("inference limit"))
        self._scheduler = Scheduler(limits, account.under_way, time_limit)
        self._slots = {one.stream: StreamSlot(one, limits.max_waiting) for one in settings.streams}
        self.tally = Tally()
        self._served = ServedStreams(self._slots, self._scheduler, limits.request_s)
        self._guard = Guard(settings.access, limits.log_interval_s)
        self._watch = self._watching()
        self._rollouts = self._rolling_out()
        self._retraining = self._proposing()
        self._exposition = self._exposed()
        self.routes = Routes(self._table(store))
        application = Application(self.routes, self.tally, self._guard.check, limits.log_interval_s)
        self._listener = Listener(
            application, settings.server, limits, self._guard.tls, self._begin
        )
        self._rpc = self._rpc_listener()
        self._notifier = place.parent if place else Notifier()
        self._follower = (
            Follower(self._tools, settings.streams, self._slots, self._notices)
            if place and place.number
            else None
        )

    def _table(self, store: Store) -> Table:
        """Everything that is answered, the description of it at last."""
        served, limits, notices = self._served, self._settings.limits, self._notices
        answering = Answering(served, limits, self._settings.predict)
        reasons = ReasonsOutput(served, self._settings.predict.max_explained, limits.request_s)
        table = (
            *OpenInference(served, limits, reasons, notices, self._statistics()).table(),
            *RepositoryControl(served, self._updater, notices, self._settings).table(),
            *Streams(served, answering, limits, notices, store).table(),
            *Scoring(served, answering, limits).table(),
            *(self._metrics() if self._settings.metrics.enabled else ()),
            # Its sessions are in the memory of one process.
            *(PageSession(self._guard, self._settings.access).table() if not self._place else ()),
            *self._page(),
            *self._rollout_routes(),
        )
        return (*table, *OpenApi(served, store, table).table())

    def _page(self) -> Table:
        """What the page asks."""
        if self._watch is None:
            return ()
        has_rollouts, has_retraining = self._rollouts is not None, self._retraining is not None
        return Api(self._watch, has_rollouts=has_rollouts, has_retraining=has_retraining).table()

    def _metrics(self) -> Table:
        """What Prometheus reads: of the server, and of the gateways that the page shows."""
        watch, settings = self._watch, self._settings.metrics
        if watch is None or not settings.fleet:
            return self._exposition.table()
        subscriber = watch.subscriber
        fleet = Fleet(watch.gateways, lambda: subscriber.state, settings, now_ms)
        return (*self._exposition.table(), *fleet.table())

    async def run(self) -> None:
        """Serve until `stop` is called."""
        if self._follower is not None:
            self._follower.start()  # the first worker alone follows the registry
        else:
            self._updater.start(self._slots)
            self._follow()
            self._load_earlier()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._workers.wake_up.fileno(), self._run_posted)
        if self._place is not None:
            await self._place.parent.connect(self._asked())
        self._tick()
        if self._watch is not None:
            self._watch.start()
        for service in (self._rollouts, self._retraining):
            if service is not None:
                service.start()
        try:
            if self._rpc is not None:
                await self._rpc.start()
            await self._listener.serve(self._place.clients if self._place else None)
        finally:
            if self._rpc is not None:
                await self._rpc.ended()
            if self._watch is not None:
                self._watch.stop()
            if self._place is not None:
                self._place.parent.alive()  # for the last time, with what was counted
            loop.remove_reader(self._workers.wake_up.fileno())
            self._scheduler.close()
            self._workers.stop(monotonic() + self._settings.limits.stop_s, monotonic)

    def _begin(self) -> None:
        """Say that the server listens."""
        if self._place is None:
            log.info("listening", address=self._settings.address(self._listener.port))
        memory.settle()
        self._notifier.ready()

    def stop(self) -> None:
        """Answer what is under way, and end; may be called by a signal handler."""
        self._notifier.stopping()
        self._served.is_stopping = True
        if self._watch is not None:
            self._watch.end_streams()
        if self._rpc is not None:
            self._rpc.stop()
        self._listener.stop()

    def _rpc_listener(self) -> "RpcListener | None":
        """The port of gRPC; None where it is not configured, so that it costs nothing."""
        if self._settings.grpc is None:
            return None
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # else clients could fill the log
        from server.rpc.listener import RpcListener  # noqa: PLC0415  needs the extra [grpc]

        return RpcListener(self._settings, self._served, self._guard, self.tally)

    def _watching(self) -> Watch | None:
        """What is behind the page; None where there is none."""
        console = self._settings.console
        if console is None:
            return None
        folder = Folder(self._settings.server.state_dir, self._settings.limits.log_interval_s)
        return Watch(console, folder, self._workers, self._served)

    def _rollout_routes(self) -> Table:
        if self._rollouts is None:
            return ()
        from server.rollouts.api import RolloutApi  # noqa: PLC0415  as in _rolling_out

        table = RolloutApi(self._rollouts).table()
        if self._retraining is None:
            return table
        from server.retraining.api import RetrainingApi  # noqa: PLC0415  as in _rolling_out

        return (*table, *RetrainingApi(self._retraining).table())

    def _rolling_out(self) -> "RolloutService | None":
        """The controller of rollouts; None where there is none."""
        rollouts = self._settings.rollouts
        if rollouts is None:
            return None
        from server.rollouts.service import RolloutService  # noqa: PLC0415  what signs takes memory

        state_dir, limits = self._settings.server.state_dir, self._settings.limits
        worker = self._workers.start("rollouts")
        return RolloutService(rollouts, state_dir, worker, limits.log_interval_s)

    def _proposing(self) -> "RetrainingService | None":
        """What proposes retraining; None where nothing does."""
        retraining, rollouts = self._settings.retraining, self._settings.rollouts
        if retraining is None or rollouts is None:
            return None
        from server.retraining.service import RetrainingService  # noqa: PLC0415  as in _rolling_out

        state_dir, limits = self._settings.server.state_dir, self._settings.limits
        worker = self._workers.start("retraining")
        return RetrainingService(retraining, rollouts, state_dir, worker, limits.log_interval_s)

    def _follow(self) -> None:
        """Have each stream run the bundle that the configuration names, or the newest."""
        for one in self._settings.streams:
            desired = b"" if one.seq is None else Desired(stream=one.stream, seq=one.seq).to_json()
            self._updater.desire(one.stream, desired)

    def _load_earlier(self) -> None:
        """Load the versions that served before, where several are to answer."""
        kept = KeptBundles(self._tools)
        for one in self._settings.streams:
            active = self._tools.store.active(one.stream)
            for ref in active.earlier[: one.versions - 1] if active is not None else ():
                try:
                    model = kept.load(ref, may_wait=True)
                except BundleError as exc:
                    log.warning("earlier version does not answer", seq=ref.seq, reason=str(exc))
                else:
                    self._slots[one.stream].add_earlier(model)

    def _run_posted(self) -> None:
        self._workers.wake_up.clear()
        self._workers.run_posted()

    def _tick(self) -> None:
        """What is done about once a second."""
        now_s = monotonic()
        for slot in self._slots.values():
            for version in slot.versions:
                version.waiting.end_late(now_s)
        self.tally.forget({name: set(slot.named) for name, slot in self._slots.items()})
        self._updater.tick()
        if self._follower is not None:
            self._follower.tick()
        self._guard.refresh()
        self._notifier.alive()
        self._notifier.status(self._status())
        self._report_signals()
        asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _status(self) -> str:
        slots = self._slots.items()
        served = [f"{name}#{','.join(slot.named)}" for name, slot in slots if slot.versions]
        troubles = self._updater.troubles.values()
        waiting = f"; waiting: {'; '.join(troubles)}" if troubles else ""
        return f"serving {', '.join(served) or 'nothing yet'}{waiting}"

    def _asked(self) -> Asked:
        """What the parent of several workers asks of this one."""
        role = self._follower or Leader(self._slots, self._notices)
        return Asked(self._exposition.counts, role.told, role.hear, self.stop)

    def _statistics(self) -> Callable[[Version], Awaitable[Mapping[str, float]]]:
        """What tells how much a version has answered, in all workers."""
        if self._place is not None:
            return self._place.parent.statistics

        async def alone(version: Version) -> Mapping[str, float]:
            return version.statistics

        return alone

    def _exposed(self) -> Exposition:
        """What Prometheus reads."""
        sources = Sources(
            self.tally,
            self._served,
            self._notices,
            connections=lambda: self._listener.open_connections,
            troubles=lambda: self._updater.troubles,
        )
        return Exposition(sources, self._place.parent.totals if self._place else None)
