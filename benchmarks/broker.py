"""A private Mosquitto for one measurement: loopback only, nothing on disk, nothing dropped.

What is in flight is bounded by the load generator, to less than the broker allows: its default of
20 would be measured instead of the contender, and no limit at all would let it search through the
100,000 messages of a backlog for each acknowledgement. Its queues have none, so that it drops
nothing.
"""

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.children import BenchmarkError, running, tail

HOST = "127.0.0.1"

_READY_S = 10.0
_POLL_S = 0.01
_CONFIG = """\
listener {port} {host}
allow_anonymous true
persistence false
set_tcp_nodelay true
max_inflight_messages 1000
max_queued_messages 0
max_queued_bytes 268435456
log_type error
log_type warning
"""


@contextmanager
def running_broker(folder: Path) -> Iterator[int]:
    """Run a broker until the context is left; yields its port.

    Args:
        folder: for its configuration and its log.

    Raises:
        BenchmarkError: Mosquitto is missing or did not start.
    """
    port = free_port()
    config, log = folder / "mosquitto.conf", folder / "mosquitto.log"
    config.write_text(_CONFIG.format(port=port, host=HOST))
    with running([find_mosquitto(), "-c", os.fspath(config)], log):
        deadline = time.monotonic() + _READY_S
        while not _listens(port):
            if time.monotonic() > deadline:
                raise BenchmarkError(f"mosquitto did not listen within {_READY_S:g} s: {tail(log)}")
            time.sleep(_POLL_S)
        yield port


def find_mosquitto() -> str:
    """Return the path of Mosquitto; Debian installs it where a user's PATH does not look.

    Raises:
        BenchmarkError: it is not installed.
    """
    path = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise BenchmarkError("mosquitto is missing; on Debian: apt install mosquitto")
    return path


def free_port() -> int:
    """Return a port that nobody listens on at the loopback."""
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
