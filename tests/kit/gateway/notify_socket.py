"""What systemd would be told: a notification socket of the test's own (sd_notify(3))."""

import socket
from threading import Thread
from types import TracebackType
from typing import Self
from uuid import uuid4


class NotifySocket:
    """Takes in every notification until the context is left.

    Attributes:
        assignments: `READY=1`, `STATUS=...`, `WATCHDOG=1`, in the order in which they came.
    """

    def __init__(self) -> None:
        self.assignments: list[str] = []
        self._name = f"millhand-{uuid4().hex}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = Thread(target=self._listen, name="notify-socket")

    @property
    def environment(self) -> dict[str, str]:
        """What systemd sets for a unit with `WatchdogSec=30`."""
        return {"NOTIFY_SOCKET": f"@{self._name}", "WATCHDOG_USEC": "30000000"}

    @property
    def status(self) -> str:
        """The newest `STATUS=`."""
        told = [one for one in list(self.assignments) if one.startswith("STATUS=")]
        return told[-1].removeprefix("STATUS=") if told else ""

    @property
    def pings(self) -> int:
        """How often the watchdog was fed; the agent does it about once a second."""
        return self.assignments.count("WATCHDOG=1")

    def __enter__(self) -> Self:
        """Listen in the abstract namespace, where names are not as short as paths must be."""
        self._socket.bind(f"\0{self._name}")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the thread with a message of our own."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", f"\0{self._name}")
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while message := self._socket.recv(65_536):
            self.assignments += message.decode().split("\n")
