"""Child processes of the demo: each is started, watched and ended by its own process id."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from demo.errors import DemoError

ROOT = Path(__file__).resolve().parent.parent

_POLL_S = 0.05
_STOP_S = 10.0
_TAIL_LINES = 15


class Child:
    """One process of ours, from entering the context to leaving it.

    It runs from the repository's folder, in a session of its own, so that Ctrl-C reaches the demo
    alone and the demo ends its children in order.

    Args:
        name: What to call it in messages.
        argv: Program and arguments.
        log: File for its output; None: it shares the terminal.
    """

    def __init__(self, name: str, argv: Sequence[str], log: Path | None = None) -> None:
        self.name = name
        self._argv = argv
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            with _signals_wait():
                self._process = self._start()
        except OSError as exc:
            raise DemoError(f"{self.name}: {self._argv[0]} does not start: {exc}") from exc
        except KeyboardInterrupt:
            self.stop()  # nobody calls __exit__ of what was not entered
            raise
        return self

    def _start(self) -> subprocess.Popen[bytes]:
        with ExitStack() as stack:
            output = stack.enter_context(self._log.open("wb")) if self._log else None
            return subprocess.Popen(
                self._argv,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._running.poll()

    def wait(self) -> None:
        """Wait until it has done its work.

        Raises:
            DemoError: It ended with an exit code other than 0.
        """
        if self._running.wait():
            raise self.failure()

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until the child has become ready.

        Raises:
            DemoError: It ended before, or was not ready in time.
        """
        deadline_s = time.monotonic() + timeout_s
        while not ready():
            if self.exit_code is not None:
                raise self.failure()
            if time.monotonic() > deadline_s:
                raise DemoError(f"{self.name}: not ready after {timeout_s:.0f} s{self._tail()}")
            time.sleep(_POLL_S)

    def failure(self) -> DemoError:
        """Return the error that tells how it ended, with the end of its log."""
        return DemoError(f"{self.name}: ended with exit code {self.exit_code}{self._tail()}")

    def stop(self) -> None:
        """Ask it to end, and end it where it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not entered")
        return self._process

    def _tail(self) -> str:
        if self._log is None:
            return ""
        lines = self._log.read_text("utf-8", "replace").splitlines()[-_TAIL_LINES:]
        return "".join(f"\n  {line}" for line in lines)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait: a child that they cut off from its start would outlive us.

    A blocked mask would be inherited by the child, so the handlers are what changes. Only the main
    thread is ever interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    came: list[signal.Signals] = []

    def wait(number: int, _frame: FrameType | None) -> None:
        came.append(signal.Signals(number))

    before = [signal.signal(number, wait) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def python(module: str, *arguments: str | Path) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *map(str, arguments)]
