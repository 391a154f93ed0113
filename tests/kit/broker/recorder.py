"""`millhand-trainer record` as a process of its own, which listens."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.broker.brokers import Mosquitto
from tests.kit.waiting import eventually

END_S = 20.0


class Recorder:
    """The command as a process of its own, which listens."""

    def __init__(self, folder: Path, port: int, words: tuple[object, ...]) -> None:
        self._out, self._err = folder / "out.txt", folder / "err.txt"
        command = [sys.executable, "-m", "trainer", "record", "--broker", f"127.0.0.1:{port}"]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen([*command, *map(str, words)], stdout=out, stderr=err)
        eventually(self._listens, END_S, "the recorder to listen")

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def end(self, sign: signal.Signals | None = None) -> int:
        """Its exit code, once it has ended, by itself or by a signal."""
        if sign is not None:
            self.process.send_signal(sign)
        return self.process.wait(END_S)

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.err
        return "listening on" in self.err


@contextmanager
def recorder(folder: Path, broker: Mosquitto, *words: object) -> Iterator[Recorder]:
    started = Recorder(folder, broker.port, words)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()
