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
from time import monotonic
from typing import Final

from models.files import write_atomically
from server.retraining.errors import RetrainingError
from server.retraining.settings import Retraining
from serving.child import command as python_command

OUTPUT: Final = "output.log"
_GRACE_S: Final = 5.0  # between SIGTERM and SIGKILL
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
        code = self._child.poll()
        if code is not None:
            self._finish()
        elif monotonic() >= self._ends_s:
            self.is_late = True
            code = self.stop()
        return code

    def stop(self) -> int:
        """End it and everything that it has started; its exit code."""
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self._child.pid, signal.SIGTERM)
            self._child.wait(_GRACE_S)
        self._finish()
        return self._child.wait()

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

    def _finish(self) -> None:
        """Keep its output, close the pipe, and end what it has left behind."""
        self._read()
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        if self._child.stdout is not None:
            self._child.stdout.close()
        with suppress(OSError):
            write_atomically(self._folder / OUTPUT, bytes(self._output))
