"""Has the history written and read by a thread of its own, so that no disk delays an answer.

Whatever happens to the file, the page goes on: `trouble` says why nothing is kept for now.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Final

from server.console.asset import SPARKLINE
from server.console.gateways import Seen
from server.console.history.sqlite_file import Batch, Curve, HistoryError, HistoryFile, Latest
from server.console.plant import now_ms
from server.console.settings import Console
from server.http.refusals import LateError, OverloadError, UnavailableError
from serving import log
from serving.worker import Worker

FILE: Final = "console.sqlite3"
_MAX_QUESTIONS: Final = 16
_PRUNE_S: Final = 600.0
_ANSWER_S: Final = 20.0


class Keeper:
    """The history, from the event loop's side.

    Args:
        console: limits of the file.
        state_dir: folder of the file.
        worker: writes and reads it.
        log_interval_s: seconds in which a fault is logged at most once.

    Attributes:
        trouble: why nothing is kept; empty while it is.
        is_busy: whether a batch is being written, so that the next one should wait.
    """

    def __init__(
        self, console: Console, state_dir: Path, worker: Worker, log_interval_s: float
    ) -> None:
        self.trouble = ""
        self.is_busy = False
        self._keep_ms = int(console.history_hours * 3_600_000)
        self._max_assets = console.max_assets
        self._file = HistoryFile(state_dir / FILE, console.history_bytes, _tell)
        self._worker = worker
        self._log = log.Limited(log_interval_s)
        self._questions = 0
        self._pruned_s: float | None = None

    def restore(self, take: Callable[[Sequence[Latest], Sequence[Seen]], None]) -> None:
        """Read what was known before the restart, and hand it to `take` on the event loop."""

        def job() -> Callable[[], None]:
            try:
                found = self._file.latest(self._max_assets, SPARKLINE)
                seen = self._file.seen()
            except HistoryError as exc:
                reason = str(exc)
                return lambda: self._done(reason)
            return lambda: take(found, seen)

        self._worker.submit(job)

    def write(self, batch: Batch) -> None:
        """Have a batch written."""
        self.is_busy = True
        now_s = monotonic()
        prunes = self._pruned_s is None or now_s - self._pruned_s >= _PRUNE_S
        if prunes:
            self._pruned_s = now_s
        oldest = now_ms() - self._keep_ms

        def job() -> Callable[[], None]:
            reason = ""
            try:
                self._file.write(batch)
                if prunes:
                    self._file.prune(oldest)
            except HistoryError as exc:
                reason = str(exc)
            return lambda: self._done(reason)

        self._worker.submit(job)

    def close(self, batch: Batch) -> None:
        """Have the last batch written, and the file closed."""
        self.write(batch)
        self._worker.submit(self._file.close)

    async def curve(self, stream: str, asset: str, time: tuple[int, int], width: int) -> Curve:
        """What happened to an asset of a stream; the arguments are those of `HistoryFile.curve`.

        Raises:
            OverloadError: too many ask at the same time.
            UnavailableError: the file cannot be read.
            LateError: the disk did not answer in time.
        """
        if self._questions >= _MAX_QUESTIONS:
            raise OverloadError(f"{_MAX_QUESTIONS} questions to the history are under way already")
        answered: asyncio.Future[Curve] = asyncio.get_running_loop().create_future()

        def job() -> Callable[[], None]:
            try:
                found = self._file.curve(stream, asset, time, width)
            except HistoryError as exc:
                reason = str(exc)
                return lambda: _fail(answered, reason)
            return lambda: _answer(answered, found)

        self._questions += 1
        try:
            self._worker.submit(job)
            async with asyncio.timeout(_ANSWER_S):
                return await answered
        except TimeoutError:
            raise LateError(f"the history was not read within {_ANSWER_S:g} s") from None
        finally:
            self._questions -= 1

    def _done(self, reason: str) -> None:
        self.is_busy = False
        if reason:
            self._log.warning("history", "console history is not kept", reason=reason)
        elif self.trouble:
            log.info("console history is kept again")
        self.trouble = reason


def _tell(reason: str) -> None:
    log.warning("console history is begun anew", reason=reason)


def _answer(answered: asyncio.Future[Curve], found: Curve) -> None:
    if not answered.done():  # the client may be gone
        answered.set_result(found)


def _fail(answered: asyncio.Future[Curve], reason: str) -> None:
    if not answered.done():
        answered.set_exception(UnavailableError(f"the history cannot be read: {reason}"))
