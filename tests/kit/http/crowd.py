"""Browsers of all habits that listen to the page: quick, slow, hung, and gone at once.

`python -m tests.kit.http.crowd --minutes 10` starts a broker and a server with 200 assets, has the
crowd listen, and prints the server's memory before and after, and how old what a quick browser and
a slow one got was.
"""

import argparse
import itertools
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.kit.broker.brokers import HOST, mosquitto
from tests.kit.errors import KitError
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.model_server import ModelServer
from tests.kit.plant_page import STREAM, Browser, now_ms, overview, page_server, prediction
from tests.kit.waiting import eventually

EVENTS: Final = b"GET /console/api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
ASSETS: Final = 200
_HUNG, _HASTY, _SLOW, _QUICK = 12, 4, 4, 4
_MAX_CLIENTS: Final = 24
_CLIENT_S: Final = 5.0
_WARM_S: Final = 20.0
_PAUSE_S: Final = 0.1
_SLOW_BYTES: Final = 20_000  # that a slow browser takes in a second
_PATIENCE_S: Final = 20.0


@dataclass
class Crowd:
    """What the browsers have seen.

    Attributes:
        listened: connections that were sent events.
        refused: connections that were refused by 429.
        ended: connections that the server has cut off.
        oldest_ms: age of the oldest event that a quick browser got, milliseconds.
        oldest_slow_ms: the same of a slow browser.
    """

    listened: int = 0
    refused: int = 0
    ended: int = 0
    oldest_ms: int = 0
    oldest_slow_ms: int = 0
    over: threading.Event = field(default_factory=threading.Event)


def hang(port: int, crowd: Crowd) -> None:
    """Listen without ever reading, until the server has enough of it."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((HOST, port))
        client.sendall(EVENTS)
        client.settimeout(_PAUSE_S)
        if b" 429 " in client.recv(20, socket.MSG_PEEK | socket.MSG_WAITALL):
            crowd.refused += 1
            crowd.over.wait(_PAUSE_S)
            return
        crowd.listened += 1
        while not crowd.over.wait(_PAUSE_S):
            try:
                client.send(b"\r\n")  # fails once the connection is reset
            except OSError:
                crowd.ended += 1
                return


def leave(port: int, crowd: Crowd) -> None:
    """Listen, and leave at once: in the middle of an event, or before the first."""
    with socket.create_connection((HOST, port), timeout=_PATIENCE_S) as client:
        client.sendall(EVENTS)
        if crowd.listened % 2:
            client.recv(1000)
        crowd.listened += 1
    crowd.over.wait(_PAUSE_S)


def read_slowly(port: int, crowd: Crowd) -> None:
    """Listen by a narrow line, and see how old the newest is that comes through it."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(_PATIENCE_S)
        client.connect((HOST, port))
        client.sendall(EVENTS)
        rest = b""
        while not crowd.over.wait(_PAUSE_S):
            part = client.recv(round(_SLOW_BYTES * _PAUSE_S))
            if not part:
                crowd.ended += 1
                return
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if line.startswith(b"data: ") and b'"now":' in line:
                    made = int(line.partition(b'"now":')[2].partition(b",")[0])
                    crowd.oldest_slow_ms = max(crowd.oldest_slow_ms, now_ms() - made)


def read_quickly(port: int, crowd: Crowd) -> None:
    """Listen as a browser does."""
    with Browser(port) as browser:
        if browser.answer.status != 200:
            crowd.refused += 1
            crowd.over.wait(_PAUSE_S)
            return
        crowd.listened += 1
        for event in browser.events():
            browser.seen.clear()
            if event.name == "plant":
                crowd.oldest_ms = max(crowd.oldest_ms, now_ms() - event.document["now"])
            if crowd.over.is_set():
                return
        crowd.ended += 1


def gather(server: ModelServer, crowd: Crowd, pool: ThreadPoolExecutor) -> None:
    """Have browsers come, and come again, until it is over."""

    def again(listen: Callable[[int, Crowd], None]) -> None:
        while not crowd.over.is_set():
            with suppress(OSError, KitError):
                listen(server.port, crowd)

    habits = {hang: _HUNG, leave: _HASTY, read_slowly: _SLOW, read_quickly: _QUICK}
    for listen, count in habits.items():
        for _ in range(count):
            pool.submit(again, listen)


def publish(client: PlantClient, crowd: Crowd, per_second: float) -> None:
    """Publish predictions of all assets in turn, until it is over."""
    begun = time.monotonic()
    for number in itertools.count():
        if crowd.over.wait(max(0.0, begun + number * ASSETS / per_second - time.monotonic())):
            return
        for asset in range(ASSETS):
            name = f"l1/pump{asset}"
            client.publish(f"plant/{name}/_inference/{STREAM}", prediction(name, number % 100))


def main(arguments: Sequence[str] | None = None) -> int:
    """Let the crowd listen for a while, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.http.crowd", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--per-second", type=float, default=1000.0, help="predictions a second")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="crowd-") as name:
        lines = _watched(Path(name), chosen.minutes, chosen.per_second)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _watched(folder: Path, minutes: float, per_second: float) -> Sequence[str]:
    """What is to be said of a crowd at a server of its own."""
    crowd, figures = Crowd(), list[str]()
    limits, most = {"client_s": _CLIENT_S}, _MAX_CLIENTS
    with (
        mosquitto(folder / "broker") as broker,
        PlantClient(broker.port) as client,
        page_server(folder / "page", broker.port, limits=limits, max_clients=most) as server,
        ThreadPoolExecutor(32) as pool,
    ):
        server.start_serving()
        eventually(lambda: overview(server)["broker"]["connected"], _PATIENCE_S)
        try:
            pool.submit(publish, client, crowd, per_second)
            gather(server, crowd, pool)
            for seconds in (_WARM_S, *[15 * minutes] * 4):
                crowd.over.wait(seconds)
                figures.append(_memory(server))
        finally:
            crowd.over.set()
    return (
        f"{crowd.listened} connections, {crowd.refused} refused, {crowd.ended} cut off",
        f"memory, processor time, files after {_WARM_S:g} s and each quarter: {figures}",
        f"oldest that a quick browser got {crowd.oldest_ms} ms, a slow one {crowd.oldest_slow_ms}",
    )


def _memory(server: ModelServer) -> str:
    folder = Path(f"/proc/{server.process.pid}")
    pages = int((folder / "statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    ticks = (folder / "stat").read_text().rpartition(")")[2].split()
    seconds = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
    return f"{resident:.1f} MiB, {seconds:.0f} s, {len(list((folder / 'fd').iterdir()))}"


if __name__ == "__main__":
    sys.exit(main())
