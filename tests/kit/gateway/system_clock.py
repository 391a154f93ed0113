"""A system clock that a test sets, for an agent that runs as a process of its own.

`time.time_ns`, from which the agent takes the time of day, is replaced before the agent starts; the
monotonic clock and the code of the agent are unchanged.
"""

from pathlib import Path

_SITE = """\
import os, time

def time_ns(real=time.time_ns):
    with open(os.environ["SYSTEM_CLOCK"]) as file:
        return real() + int(file.read())

time.time_ns = time_ns
"""


class SystemClock:
    """The clock of one machine.

    Args:
        folder: folder for its files, which is made.

    Attributes:
        environment: variables of the processes that have this clock.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._offset = folder / "offset_ns"
        (folder / "sitecustomize.py").write_text(_SITE)
        self.environment = {"PYTHONPATH": str(folder), "SYSTEM_CLOCK": str(self._offset)}
        self.set_by(0)

    def set_by(self, offset_ns: int) -> None:
        """Set the clock so far ahead of the true time; 0 sets it right."""
        written = self._offset.with_suffix(".new")
        written.write_text(str(offset_ns))
        written.replace(self._offset)
