"""The sole composition root: from settings to a server that can run."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final

from models.control.documents import Desired
from models.errors import BundleError
from server.batching.scheduler import Scheduler
from server.http.application import Application, Tally
from server.http.listener import Listener
from server.http.routes import Routes
from server.oip.handlers import OpenInference
from server.repository.control import RepositoryControl
from server.settings import Settings
from server.streams.announcer import Notices
from server.streams.served import ServedStreams
from server.streams.slot import StreamSlot
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

_TICK_S: Final = 1.0
_POISON_DEATHS: Final = 3


class Program:
    """Everything that serves, put together.

    Args:
        settings: the configuration.
        report_signals: logs signals that were ignored; called about once a second.
    """

    def __init__(self, settings: Settings, report_signals: Callable[[], None]) -> None:
        memory.share_arenas()
        state_dir, limits = settings.server.state_dir, settings.limits
        self._settings, self._workers = settings, Workers()
        self._report_signals = report_signals
        updates = self._workers.start("updates")
        account = Account(state_dir, _POISON_DEATHS)
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
        routes = Routes(
            (
                *OpenInference(self._served, limits, self._notices).table(),
                *RepositoryControl(self._served, self._updater, self._notices, settings).table(),
            )
        )
        application = Application(routes, self.tally, limits.log_interval_s)
        self._listener = Listener(
            application, settings.server, limits, (self._begin, self._note_refusal)
        )
        self._notifier = Notifier()

    async def run(self) -> None:
        """Serve until `stop` is called."""
        self._updater.start(self._slots)
        self._follow()
        self._load_earlier()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._workers.wake_up.fileno(), self._run_posted)
        self._tick()
        try:
            await self._listener.serve()
        finally:
            loop.remove_reader(self._workers.wake_up.fileno())
            self._scheduler.close()
            self._workers.stop(monotonic() + self._settings.limits.stop_s, monotonic)

    def _begin(self) -> None:
        """Say that the server listens."""
        host = self._settings.server.host
        log.info("listening", address=f"http://{host}:{self._listener.port}")
        memory.settle()
        self._notifier.ready()

    def stop(self) -> None:
        """Answer what is under way, and end; may be called by a signal handler."""
        self._notifier.stopping()
        self._served.is_stopping = True
        self._listener.should_exit = True

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
        self._updater.tick()
        self._notifier.alive()
        self._notifier.status(self._status())
        self._report_signals()
        asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _status(self) -> str:
        slots = self._slots.items()
        served = [f"{name}#{','.join(slot.named)}" for name, slot in slots if slot.versions]
        troubles = self._updater.troubles
        waiting = f"; waiting: {'; '.join(troubles)}" if troubles else ""
        return f"serving {', '.join(served) or 'nothing yet'}{waiting}"

    def _note_refusal(self, reason: str) -> None:
        self.tally.received += 1
        self.tally.refused[reason] += 1
