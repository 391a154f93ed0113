"""The parent of the workers: starts them, starts one again that dies, and speaks for all of them.

    clients ──► parent ──┬──► worker 0   follows the registry
    systemd ◄──          ├──► worker 1   loads what worker 0 serves
                         └──► ...

The parent accepts connections and hands each to a worker, which then has the client by itself. It
reads no request. A client who comes while a worker is started again gets another; what a worker
that has died had counted is kept here.
"""

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from time import monotonic, time
from typing import Final

from server.http.address import bound
from server.metrics import families
from server.metrics.counts import begun, bounded, key, left_of, merged
from server.settings import Settings
from server.workers.acceptor import Acceptor
from server.workers.channel import Message
from server.workers.worker import Worker
from serving import log, memory
from serving.errors import EXIT_BUG, EXIT_CONFIG, EXIT_LATER
from serving.program.notify import Notifier

_TICK_S: Final = 1.0
_WITHIN_S: Final = 60.0  # in which `limits.worker_deaths` are counted
_SHORT_S: Final = 10.0  # a life that was shorter is followed by a pause
_PAUSE_S: Final = 1.0
_ASK_S: Final = 1.0
_LAST_S: Final = 5.0  # beyond limits.stop_s


class Supervisor:
    """Starts workers, and watches them.

    Args:
        settings: the configuration.
        report_signals: logs signals that were ignored; called about once a second.
    """

    def __init__(self, settings: Settings, report_signals: Callable[[], None]) -> None:
        self._settings, self._report_signals = settings, report_signals
        limits = settings.limits
        self._workers = [Worker(number, limits) for number in range(settings.server.workers)]
        self._notifier = Notifier()
        self._gone = begun(time())
        self._deaths: deque[float] = deque(maxlen=limits.worker_deaths)
        self._rounds = count(1)
        self._code, self._has_begun, self._is_stopping = 0, False, False
        self._answers: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> int:
        """Serve until `stop` is called, or workers die too often; returns the exit code.

        Raises:
            TransientError: the address is in use, or not there.
            ConfigError: it may not be listened on.
        """
        self._ended, self._starting = asyncio.Event(), asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._acceptor = Acceptor(
            bound(self._settings.server), self._workers, self._settings.limits.log_interval_s
        )
        if self._is_stopping:
            self._ended.set()
        keepers = [asyncio.create_task(self._keep(one)) for one in self._workers]
        for keeper in keepers:
            keeper.add_done_callback(lambda _: self._ended.set())
        self._tick()
        await self._ended.wait()
        self._is_stopping = True
        await self._end(keepers)
        return self._code

    def stop(self) -> None:
        """Have all workers answer what is under way, and end; may be called by a signal handler."""
        self._notifier.stopping()
        self._is_stopping = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)

    @property
    def received(self) -> int:
        """Requests that were received by workers that have ended."""
        return int(self._gone.get("kept", {}).get(key(families.RECEIVED), 0))

    async def _end(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        """End all workers in order, or at once where that takes too long."""
        self._acceptor.close()
        for worker in self._workers:
            worker.end(signal.SIGTERM)
        _, late = await asyncio.wait(keepers, timeout=self._settings.limits.stop_s + _LAST_S)
        for worker in [one for one in self._workers if one.is_running] if late else ():
            log.error("worker did not stop in time", worker=worker.number, pid=worker.pid)
            worker.end(signal.SIGKILL)
            self._code = EXIT_BUG
        await asyncio.gather(*keepers)

    async def _keep(self, worker: Worker) -> None:
        """Start a worker, and start it again when it has died, until the server ends."""
        while not self._is_stopping:
            code = await self._live(worker)
            self._gone = bounded(merged([self._gone, left_of(worker.counts)]))
            worker.counts = {}
            if not self._is_stopping:
                await self._note_death(worker, code)

    async def _live(self, worker: Worker) -> int:
        """Start a worker, and wait for its end; returns the exit code."""
        async with self._starting:  # one after the other, the leader first
            if self._is_stopping:
                return 0
            try:
                await worker.start(self._settings.model_dump(mode="json"))
            except OSError as exc:
                log.error("worker cannot be started", worker=worker.number, reason=exc.strerror)
                return EXIT_LATER
            log.info("worker started", worker=worker.number, pid=worker.pid)
            life = asyncio.create_task(worker.listen(self._take))
            await worker.is_settled.wait()
        self._begin()
        return await life

    def _begin(self) -> None:
        """Say that the server serves, once all workers do."""
        if self._has_begun or self._is_stopping or not all(one.is_serving for one in self._workers):
            return
        self._has_begun = True
        memory.settle()
        self._acceptor.open()
        address = self._settings.address(self._acceptor.port)
        log.info("listening", address=address, workers=len(self._workers))
        self._notifier.ready()

    async def _note_death(self, worker: Worker, code: int) -> None:
        """Count that a worker has died, and wait until it may be started again."""
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        log.error("worker died", worker=worker.number, pid=worker.pid, by=how)
        now_s = monotonic()
        is_often = len(self._deaths) == self._deaths.maxlen and now_s - self._deaths[0] < _WITHIN_S
        self._deaths.append(now_s)
        self._gone = merged([self._gone, {"kept": {key(families.WORKER_DEATHS): 1}}])
        if not self._has_begun and code in {EXIT_CONFIG, EXIT_LATER}:
            self._give_up(code)  # every worker would end so
        elif is_often:
            log.error("workers die too often", within_s=_WITHIN_S, allowed=self._deaths.maxlen)
            self._give_up(EXIT_BUG)
        elif now_s - worker.began_s < _SHORT_S:
            await asyncio.sleep(_PAUSE_S)

    def _give_up(self, code: int) -> None:
        self._code, self._is_stopping = code, True
        self._ended.set()

    def _tick(self) -> None:
        """What is done about once a second."""
        for worker in self._workers:
            if worker.is_silent and not worker.is_hung:
                log.error("worker hangs", worker=worker.number, pid=worker.pid)
                worker.is_hung = True
                worker.end(signal.SIGKILL)
        if not any(one.is_hung for one in self._workers):
            self._notifier.alive()  # else it could not be killed, which a restart may mend
        if self._has_begun and not self._is_stopping:
            self._acceptor.open()
        leader, *others = self._workers
        leader.send({"told": [one.told for one in others]})
        for one in others:
            one.send({"told": [leader.told]})
        serving = sum(one.is_serving for one in self._workers)
        self._notifier.status(
            f"{leader.status or 'starting'}; {serving} of {len(self._workers)} workers"
        )
        self._report_signals()
        asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _take(self, worker: Worker, message: Message) -> None:
        """Take what a worker says."""
        if "totals" in message:
            answer = asyncio.create_task(self._answer(worker, message["totals"]))
            self._answers.add(answer)
            answer.add_done_callback(self._answers.discard)

    async def _answer(self, asker: Worker, number: int) -> None:
        """Tell a worker what all have counted by now; of one that is late, what it said last."""
        this = next(self._rounds)
        await asyncio.wait([one.count(this) for one in self._workers], timeout=_ASK_S)
        counts = merged([self._gone, *(one.counts for one in self._workers)])
        asker.send({"totals": number, "counts": counts})
