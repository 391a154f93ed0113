"""`python -m benchmarks.http.swaps`: a hundred new versions of a model under load, in one run.

Clients ask one request after another over connections that stay, while a new version is published
as soon as the one before it answers. Each version adds a number of its own to its answers. So they
tell a request that was lost or mixed up, and a version that was half loaded, or older than one that
has answered before on the same connection. A run of the model beyond `limits.inference_s` is
answered by 500, and is counted by itself.
"""

import argparse
import http.client
import json
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import Final

from tests.kit.broker.brokers import HOST
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.errors import KitError
from tests.kit.model_server import LOOKS, REQUEST_S, ModelServer
from tests.kit.waiting import eventually

SWAPS: Final = 100
_CLIENTS: Final = 8
_STEP: Final = 1000.0
"""What each version adds to its answers, beyond the one before."""
_NUMBERS: Final = 50
_PATIENCE_S: Final = 60.0
_PATH: Final = "/v2/models/mass/infer"


@dataclass
class Client:
    """Asks one request after another.

    Args:
        port: TCP port of the server.

    Attributes:
        outcomes: number of requests by what became of them; `right` is as it should be.
        versions: versions that have answered.
        longest_s: the longest time that an answer has taken, in seconds.
    """

    port: int
    outcomes: Counter[str] = field(default_factory=Counter)
    versions: set[int] = field(default_factory=set)
    longest_s: float = 0.0

    def ask(self, enough: threading.Event) -> None:
        """Ask until it is enough."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=REQUEST_S)
        number = 0
        while not enough.is_set():
            number += 1
            began_s = monotonic()
            try:
                outcome = self._outcome(connection, number)
            except (OSError, http.client.HTTPException) as exc:
                outcome = f"lost: {type(exc).__name__}"
                connection.close()
            self.outcomes[outcome] += 1
            self.longest_s = max(self.longest_s, monotonic() - began_s)
        connection.close()

    def _outcome(self, connection: http.client.HTTPConnection, number: int) -> str:
        connection.request("POST", _PATH, _request(number))
        got = connection.getresponse()
        body = got.read()
        if got.status != HTTPStatus.OK:
            is_late = b"(timed_out)" in body
            return "beyond limits.inference_s" if is_late else f"status {got.status}"
        document = json.loads(body)
        seq = int(document["model_version"])
        outputs = {one["name"]: one["data"] for one in document["outputs"]}
        if document["id"] != str(number):
            return "mixed up"
        if outputs["value"] != [number % _NUMBERS + 10 + _STEP * (seq - 1)]:
            return "half loaded"
        is_older = seq < max(self.versions, default=0)
        self.versions.add(seq)
        return "older version" if is_older else "right"


def main(arguments: Sequence[str] | None = None) -> int:
    """Swap under load, and print what became of the requests; 1 where one went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http.swaps", description=__doc__)
    parser.add_argument("--swaps", type=int, default=SWAPS, help=f"new versions ({SWAPS})")
    parser.add_argument("--clients", type=int, default=_CLIENTS, help=f"clients ({_CLIENTS})")
    chosen = parser.parse_args(arguments)
    try:
        clients, seconds = swapped(chosen.swaps, chosen.clients)
    except KitError as exc:
        sys.stderr.write(f"benchmark stopped: {exc}\n")
        return 1
    outcomes = sum((one.outcomes for one in clients), Counter[str]())
    versions = set[int]().union(*(one.versions for one in clients))
    longest_ms = 1000 * max(one.longest_s for one in clients)
    sys.stdout.write(
        f"{chosen.swaps} swaps in {seconds:.0f} s; {outcomes.total()} requests, answered by "
        f"{len(versions)} versions; the longest took {longest_ms:.0f} ms\n"
    )
    sys.stdout.writelines(f"{name}: {count}\n" for name, count in outcomes.most_common())
    return int(outcomes.total() > outcomes["right"])


def swapped(swaps: int, count: int) -> tuple[list[Client], float]:
    """Have a server of its own swap versions while clients ask it.

    Args:
        swaps: number of versions that come after the first.
        count: number of clients.

    Returns:
        The clients, and the seconds that it took.

    Raises:
        KitError: no client had an answer of a version in time.
    """
    with tempfile.TemporaryDirectory(prefix="millhand-benchmark-") as name:
        published = Published.create(Path(name))
        published.publish(linear_bundle("mass", 1, [1.0, -10.0]))
        sections = {"registry": LOOKS}
        server = ModelServer(Path(name) / "home", published, [{"stream": "mass"}], sections)
        with server, ThreadPoolExecutor(count) as threads:
            server.start_serving()
            clients, enough = [Client(server.port) for _ in range(count)], threading.Event()
            began_s = monotonic()
            running = [threads.submit(one.ask, enough) for one in clients]
            try:
                for seq in range(2, swaps + 2):
                    bias = _STEP * (seq - 1)
                    published.publish(linear_bundle("mass", seq, [1.0, -10.0], bias=bias))
                    _wait_for(seq, clients)
            finally:
                enough.set()
            for one in running:
                one.result()
            return clients, monotonic() - began_s


def _wait_for(seq: int, clients: Sequence[Client]) -> None:
    eventually(
        lambda: any(seq in one.versions for one in clients), _PATIENCE_S, f"an answer of {seq}"
    )


def _request(number: int) -> bytes:
    tensor = {"name": "window", "datatype": "FP32", "shape": [1, 1, 2]}
    document = {"id": str(number), "inputs": [{**tensor, "data": [number % _NUMBERS, -1]}]}
    return json.dumps(document).encode()


if __name__ == "__main__":
    sys.exit(main())
