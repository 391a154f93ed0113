"""systemd's notification protocol (sd_notify(3)): ready, alive, stopping, and a status line.

It is implemented here because it takes twenty lines and the packages for it are no longer
maintained; sd_notify(3) itself advises so. Errors are ignored: predictions must go on where systemd
does not read its socket.
"""

import os
import socket
from collections.abc import Mapping

MAX_STATUS = 512
"""Characters of a status line; the rest is cut off."""


class Notifier:
    """Sends notifications to systemd; without `NOTIFY_SOCKET` it sends nothing. Never blocks.

    Args:
        environment: environment variables, of which `NOTIFY_SOCKET` is read.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte of an abstract socket (sd_notify(3), unix(7)).
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._status = ""

    def ready(self) -> None:
        """Report that start-up is over, for which `Type=notify` waits."""
        self._send("READY=1")

    def alive(self) -> None:
        """Reset the watchdog (`WatchdogSec=`). Only the hot loop may call it.

        From another thread it would keep a process alive whose hot loop hangs.
        """
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Report that shutdown has begun."""
        self._send("STATUS=stopping\nSTOPPING=1")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows; it is sent only if it has changed."""
        line = " ".join(text.split())[:MAX_STATUS]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(0)
                sender.sendto(message.encode(), self._address)
        except OSError:
            return
