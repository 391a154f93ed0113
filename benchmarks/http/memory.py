"""`python -m benchmarks.http.memory`: the server's memory after many calls over gRPC.

Clients call at the same time, each on a thread of its own. Half of them keep their connection, and
half take a new one after each 20 calls. Printed is the server's memory in RAM after 1,000, 10,000,
50,000 and 100,000 calls. A leak grows with the calls; what the allocator keeps does not.
"""

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import grpc
from tritonclient.grpc import service_pb2

from benchmarks.errors import BenchmarkError
from tests.kit.broker.brokers import HOST
from tests.kit.errors import KitError
from tests.kit.http.callers import INFER, called_server, message, state

CALLS: Final = (1_000, 10_000, 50_000, 100_000)
"""Numbers of calls after which the memory is read."""
_CLIENTS: Final = 8
_A_CONNECTION: Final = 20
_NUMBERS: Final = 50
_PATIENCE_S: Final = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Have the server called, and print its memory."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http.memory", description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=CALLS, help="after which to read")
    parser.add_argument("--clients", type=int, default=_CLIENTS, help="threads that call (8)")
    chosen = parser.parse_args(arguments)
    try:
        for line in measured(sorted(chosen.calls), chosen.clients):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    except KitError as exc:
        sys.stderr.write(f"benchmark stopped: {exc}\n")
        return 1
    return 0


def measured(marks: Sequence[int], clients: int) -> Iterator[str]:
    """Have a server of its own called by clients, and say its memory after each number of calls.

    Args:
        marks: numbers of calls since the start, ascending.
        clients: clients that call at the same time.

    Raises:
        BenchmarkError: an answer was wrong.
    """
    with (
        tempfile.TemporaryDirectory(prefix="millhand-benchmark-") as name,
        called_server(Path(name)) as server,
        ThreadPoolExecutor(clients) as threads,
    ):
        server.start_serving()
        address = f"{HOST}:{server.sections['grpc']['port']}"
        yield f"0 calls: {state(server.process.pid)}"
        for before, mark in pairwise((0, *marks)):
            share = math.ceil((mark - before) / clients)
            began_s = time.monotonic()
            calls = [
                threads.submit(_call, address, share, _A_CONNECTION if number % 2 else share)
                for number in range(clients)
            ]
            for one in calls:
                one.result()
            rate = clients * share / (time.monotonic() - began_s)
            yield f"{mark} calls: {state(server.process.pid)}; {rate:.0f} calls/s"


def _call(address: str, count: int, a_connection: int) -> None:
    """Call a number of times, with a new connection after so many calls."""
    for first in range(0, count, a_connection):
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(address, options) as channel:
            infer = channel.unary_unary(INFER, None, service_pb2.ModelInferResponse.FromString)
            for number in range(first, min(first + a_connection, count)):
                _check(infer, number % _NUMBERS)


def _check(infer: Any, number: int) -> None:  # noqa: ANN401  gRPC's, without types
    found = infer(message(number), timeout=_PATIENCE_S)
    if found.id != str(number):
        raise BenchmarkError(f"call {number} has the answer of call {found.id}")


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    sys.exit(main())
