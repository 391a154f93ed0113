"""The number by which hosts tell which birth of the node a death belongs to: `bdSeq`.

    <state_dir>/sparkplug.json    the number of the last CONNECT

It rises by one with each CONNECT, from 0 to 255 and again from 0, over restarts too (Sparkplug
3.0.0, 6.4.19). It is on disk before CONNECT is sent: the will of a connection that was cut off may
be published a minute later, and must not pass for the death of the next one.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from models.files import write_atomically
from serving import log
from serving.mqtt.errors import BrokerError

_COUNT: Final = 256


class BirthNumber:
    """Counts the CONNECT packets of one node.

    Args:
        state_dir: the agent's own folder.

    Attributes:
        next: number of the connection that is opened next, or is being opened.
        current: number of the connection that was opened last.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "sparkplug.json"
        self.current = self._read()
        self.next = (self.current + 1) % _COUNT

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the CONNECT that is sent meanwhile. It blocks on the disk: not for the hot thread.

        Where the broker cannot be reached, no CONNECT is sent, and the number is not used up.
        """
        self._keep(self.next)
        try:
            yield
        except BrokerError:
            self._keep(self.current)
            raise
        self.current, self.next = self.next, (self.next + 1) % _COUNT

    def _keep(self, number: int) -> None:
        try:
            write_atomically(self._path, json.dumps({"bdSeq": number}).encode())
        except OSError as exc:
            log.warning("bdSeq of Sparkplug cannot be written", reason=exc.strerror)

    def _read(self) -> int:
        try:
            found = json.loads(self._path.read_bytes())["bdSeq"]
        except FileNotFoundError:
            return -1
        except (OSError, ValueError, TypeError, KeyError) as exc:
            log.warning("bdSeq of Sparkplug cannot be read", reason=str(exc), file=str(self._path))
            return -1
        return found % _COUNT if type(found) is int else -1
