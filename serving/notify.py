"""systemd's notification protocol: ready, alive, and what is going on (sd_notify(3)).

Written here because it is twenty lines and the packages for it are stale; upstream's own advice is
to do so. Errors are swallowed: a vanished manager must not stop the line.
"""

import os
import socket
from collections.abc import Mapping

MAX_STATUS = 512


class Notifier:
    """Tells systemd what it wants to know; silent where no systemd asked.

    Args:
        environment: where `NOTIFY_SOCKET` is looked for.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._status = ""

    def ready(self) -> None:
        """Start-up is over."""
        self._send("READY=1")

    def alive(self) -> None:
        """The hot loop turns; to be sent only by the loop itself."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Shutdown has begun."""
        self._send("STATUS=stopping\nSTOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`, sent when it changes."""
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
