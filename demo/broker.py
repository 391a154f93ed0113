"""The demo's broker: Mosquitto where it is installed, else amqtt, each as a child process.

Both listen on the loopback only, at a free port, and keep nothing on disk.
"""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from demo.children import Child, python
from demo.errors import DemoError

HOST = "127.0.0.1"
Choice = Literal["auto", "mosquitto", "amqtt"]

_READY_S = 20.0
_MOSQUITTO = """\
listener {port} {host}
allow_anonymous true
persistence false
set_tcp_nodelay true
max_queued_messages 100000
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker: which one, where, and its process."""

    kind: str
    port: int
    child: Child


@contextmanager
def running_broker(work: Path, choice: Choice = "auto") -> Iterator[Broker]:
    """Run a broker until the context is left.

    Args:
        work: Folder for its configuration and log.
        choice: `auto` takes Mosquitto where it is found, else amqtt.

    Raises:
        DemoError: It is not there, or did not start.
    """
    port = free_port()
    mosquitto = None if choice == "amqtt" else find_mosquitto()
    if choice == "mosquitto" and not mosquitto:
        raise DemoError("mosquitto is not installed: install it, or choose --broker amqtt")
    if mosquitto:
        config = work / "mosquitto.conf"
        config.write_text(_MOSQUITTO.format(host=HOST, port=port))
        name, argv = "mosquitto", [mosquitto, "-c", os.fspath(config)]
    else:
        name, argv = "amqtt", python("demo.embedded", str(port))
    with Child(name, argv, work / f"{name}.log") as child:
        child.wait_until(lambda: _listens(port), _READY_S)
        yield Broker(name, port, child)


def find_mosquitto() -> str | None:
    """Return the path of Mosquitto; Debian installs it where a user's PATH does not look."""
    return shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """Return a port that is free on the loopback."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1.0):
            return True
    except OSError:
        return False
