"""A command of the settings as a child process, with limits of time, memory, files and output."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from models.files import write_atomically
from server.retraining.errors import RetrainingError
from server.retraining.settings import Retraining
from serving.child import command as python_command

OUTPUT: Final = "output.log"
_GRACE_S: Final = 5.0  # between SIGTERM and SIGKILL
_PAUSE_S: Final = 0.05
_CHUNK_BYTES: Final = 1 << 16
_LINES: Final = 3


def program(command: Sequence[str]) -> str:
    """The path of the program of a command: on PATH, or beside this Python.

    Raises:
        RetrainingError: `trainer_missing`.
    """
    beside = Path(sys.executable).parent / command[0]  # the same where it is absolute
    found = shutil.which(command[0]) or shutil.which(beside)
    if found is None:
        raise RetrainingError(
            "trainer_missing",
            f"there is no program {command[0]}, which retraining.command names: install it here "
            "(pip install 'millhand[trainer]'), or name another command, such as one that trains "
            "on another machine",
        )
    return str(Path(found).absolute())


class Running:
    """A command that was started. One thread owns it, and the child ends with that thread.

    Args:
        command: the command, whose fields are filled in.
        fields: what they are filled in with.
        folder: the folder in which it runs, and which `output.log` is written to.
        settings: the limits.
        limit_s: seconds that it may take.

    Raises:
        RetrainingError: `trainer_missing`, or `training_failed` if it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        fields: Mapping[str, str],
        folder: Path,
        settings: Retraining,
        limit_s: float,
    ) -> None:
        self._folder, self._limit_s = folder, limit_s
        self._most = settings.output_bytes
        self._output = bytearray()
        self._ends_s = monotonic() + limit_s
        self.is_late = False
        request = {
            "command": [program(command), *(one.format_map(fields) for one in command[1:])],
            "parent": os.getpid(),
            "nice": settings.nice,
            "memory_bytes": settings.memory_bytes,
            "file_bytes": settings.file_bytes,
        }
        try:
            self._child = subprocess.Popen(  # noqa: S603  our own interpreter and code, no shell
                python_command("server.retraining.execution.launch", json.dumps(request)),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as exc:
            raise RetrainingError("training_failed", f"no process can be started: {exc}") from exc
        assert self._child.stdout is not None  # noqa: S101  asked for above
        os.set_blocking(self._child.stdout.fileno(), False)

    def look(self) -> int | None:
        """Read what was printed, and end it at its limit; its exit code, None while it runs."""
        self._read()
        if self._has_ended():
            return self._finish()
        if monotonic() < self._ends_s:
            return None
        self.is_late = True
        return self.stop()

    def stop(self) -> int:
        """End it and everything that it has started; its exit code."""
        ends_s = monotonic() + _GRACE_S
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGTERM)
        while not self._has_ended() and monotonic() < ends_s:
            sleep(_PAUSE_S)
        return self._finish()

    def said(self) -> str:
        """The last lines of its output, for a sentence."""
        text = self._output.decode("utf-8", "replace")
        lines = [one.strip() for one in text.splitlines() if one.strip()]
        return " | ".join(lines[-_LINES:]) or "it has printed nothing"

    def _read(self) -> None:
        assert self._child.stdout is not None  # noqa: S101  asked for when it was started
        while True:
            try:
                chunk = os.read(self._child.stdout.fileno(), _CHUNK_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                return
            self._output += chunk
            del self._output[: -self._most]

    def _has_ended(self) -> bool:
        """Whether it has ended; its number stays its own until `_finish` has asked for its code."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._child.pid, options) is not None

    def _finish(self) -> int:
        """End what it has left behind, and keep its output; its exit code."""
        self._read()
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        code = self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        with suppress(OSError):
            write_atomically(self._folder / OUTPUT, bytes(self._output))
        return code
