"""Child processes: each is started, watched and ended by its own process id.

with Child("agent", python("agent", "run"), folder / "agent.log") as child:
    child.wait_until(is_serving, timeout_s=30.0)

run(python("trainer", "inspect", bundle), timeout_s=60.0)        to its end; returns what it printed
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from tests.kit.errors import KitError
from tests.kit.waiting import awaited

ROOT = Path(__file__).parents[2]
"""The folder of the checkout, in which all programs run."""

_STOP_S = 15.0
_TAIL_LINES = 15
_MAX_SAID = 2000


class Child:
    """A program that runs as a child process; it may be started again after its end.

    It has a session of its own, so that Ctrl-C in a terminal reaches the parent alone, which then
    ends its children in order.

    Args:
        name: the name of the program in error messages.
        command: the program and its arguments.
        log: the file to which its output is appended; None lets it write to the parent's terminal.
        folder: the working directory.
        environment: variables that are added to those of the parent.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path | None = None,
        *,
        folder: Path = ROOT,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._log_begin = 0
        self._folder = folder
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the program."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the program if it still runs."""
        self.stop()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last, for what has no method here.

        Raises:
            KitError: none was started yet.
        """
        if self._process is None:
            raise KitError(f"{self.name} was not started")
        return self._process

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative after a signal as in `subprocess`; None while it runs."""
        return self.process.poll()

    def start(self) -> None:
        """Start the program.

        Raises:
            KitError: the program is not there, or may not be run.
        """
        try:
            with _deferred_signals():
                self._process = self._opened()
        except OSError as exc:
            raise KitError(f"{self.name}: {self._command[0]} does not start: {exc}") from exc
        except KeyboardInterrupt:
            self.stop()  # Python does not call __exit__ where __enter__ has raised
            raise

    def wait(self) -> None:
        """Wait until the program has ended with exit code 0.

        Raises:
            KitError: it ended with another exit code.
        """
        if self.process.wait():
            raise self.failure()

    def wait_until(self, ready: Callable[[], object], timeout_s: float) -> None:
        """Wait until `ready` returns something true.

        Raises:
            KitError: the program ended before that, or was not ready in time.
        """

        def decided() -> str:
            if ready():
                return "ready"
            return "ended" if self.exit_code is not None else ""

        outcome = awaited(decided, timeout_s)
        if outcome == "ended":
            raise self.failure()
        if not outcome:
            raise KitError(f"{self.name}: not ready after {timeout_s:.0f} s{self._tail()}")

    def failure(self) -> KitError:
        """The error for a program that has ended: its exit code and the end of its log."""
        return KitError(f"{self.name}: ended with exit code {self.exit_code}{self._tail()}")

    def stop(self, timeout_s: float | None = None) -> bool:
        """End the program by SIGTERM, or by SIGKILL if it does not follow in time.

        Returns:
            Whether SIGTERM was enough, or the program had ended before.
        """
        if self._process is None or self._process.poll() is not None:
            return True
        self._process.terminate()
        try:
            self._process.wait(_STOP_S if timeout_s is None else timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """End the program by SIGKILL, as a power cut would."""
        self.process.kill()
        self.process.wait()

    def _opened(self) -> subprocess.Popen[bytes]:
        with ExitStack() as stack:
            output = stack.enter_context(self._log.open("ab")) if self._log else None
            self._log_begin = output.tell() if output else 0
            return subprocess.Popen(
                self._command,
                cwd=self._folder,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
            )

    def _tail(self) -> str:
        return tail(self._log, self._log_begin) if self._log else ""


def tail(log: Path, begin: int = 0) -> str:
    """The last lines of a log from a byte on, each on an indented line of its own."""
    content = log.read_bytes() if log.exists() else b""
    lines = content[begin:].decode(errors="replace").splitlines()[-_TAIL_LINES:]
    return "".join(f"\n  {line}" for line in lines)


def python(module: str, *arguments: str | Path) -> list[str]:
    """The command that runs a Python module with this interpreter."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def run(command: Sequence[str], timeout_s: float) -> str:
    """Run a program to its end, from the folder of the checkout, and return what it printed.

    Raises:
        KitError: the program failed, or did not end within `timeout_s`.
    """
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=True,
        )
    except subprocess.TimeoutExpired as exc:
        raise KitError(f"{command[0]} did not end within {timeout_s:g} s") from exc
    except subprocess.CalledProcessError as exc:
        said = (exc.stdout + exc.stderr)[-_MAX_SAID:]
        raise KitError(f"{' '.join(command)} exited with {exc.returncode}:\n{said}") from exc
    return done.stdout


@contextmanager
def _deferred_signals() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back: a child whose start they interrupt would outlive the parent.

    The handlers are replaced, as the child would inherit a blocked mask. Python runs handlers in
    the main thread only, so that other threads need nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    came: list[signal.Signals] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(signal.Signals(number))

    before = [signal.signal(number, note) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)
