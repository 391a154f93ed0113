"""A notification socket in place of systemd's (sd_notify(3))."""

import socket
from threading import Thread
from types import TracebackType
from typing import Self
from uuid import uuid4


class NotifySocket:
    """Receives every notification until the context is left.

    Attributes:
        assignments: `READY=1`, `STATUS=...`, `WATCHDOG=1` and so on, in the order of arrival.
    """

    def __init__(self) -> None:
        self.assignments: list[str] = []
        self._name = f"millhand-{uuid4().hex}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = Thread(target=self._listen, name="notify-socket")

    @property
    def environment(self) -> dict[str, str]:
        """The variables that systemd sets for a unit with `WatchdogSec=30`."""
        return {"NOTIFY_SOCKET": f"@{self._name}", "WATCHDOG_USEC": "30000000"}

    @property
    def status(self) -> str:
        """The newest `STATUS=`."""
        found = [one for one in list(self.assignments) if one.startswith("STATUS=")]
        return found[-1].removeprefix("STATUS=") if found else ""

    @property
    def pings(self) -> int:
        """The number of `WATCHDOG=1`; the agent sends about one a second."""
        return self.assignments.count("WATCHDOG=1")

    def __enter__(self) -> Self:
        """Listen in the abstract namespace, as the path of a test's folder may be too long."""
        self._socket.bind(f"\0{self._name}")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the thread by an empty message."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", f"\0{self._name}")
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while message := self._socket.recv(65_536):
            self.assignments += message.decode().split("\n")
