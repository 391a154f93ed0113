"""The load: wrk on one thread sends one request again and again over a number of connections."""

import json
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.http.requests import Post
from tests.kit.broker.brokers import HOST
from tests.kit.children import run

_SCRIPT = Path(__file__).with_name("wrk.lua")
_MARGIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What wrk has seen.

    Attributes:
        requests: number of requests that were answered by status 200.
        seconds: seconds that it took.
        p50_us: median time from a request to its answer, microseconds.
        p99_us: 99th percentile of that time, microseconds.
        failed: requests that failed, or had another status.
    """

    requests: int
    seconds: float
    p50_us: int
    p99_us: int
    failed: int


def program() -> str:
    """The path of wrk.

    Raises:
        BenchmarkError: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise BenchmarkError("wrk is needed; on Debian: apt install wrk")
    return found


def send(port: int, post: Post, connections: int, seconds: float, folder: Path) -> Outcome:
    """Send a request again and again.

    Args:
        port: TCP port on this machine.
        post: the request.
        connections: number of connections, each with one request at a time.
        seconds: how long, in whole seconds; wrk knows no parts of them.
        folder: folder for the body of the request.

    Raises:
        BenchmarkError: a request failed, as a contender that refuses is quick.
    """
    body = folder / "body"
    body.write_bytes(post.body)
    options = [f"-c{connections}", "-t1", f"-d{math.ceil(seconds)}s", "-s", os.fspath(_SCRIPT)]
    headers = [f"{name}={value}" for name, value in post.headers.items()]
    url = f"http://{HOST}:{port}"
    command = [program(), *options, url, "--", post.path, os.fspath(body), *headers]
    said = run(command, seconds + _MARGIN_S)
    (result,) = [line for line in said.splitlines() if line.startswith("RESULT ")]
    outcome = Outcome(**json.loads(result.removeprefix("RESULT ")))
    if outcome.failed or not outcome.requests:
        raise BenchmarkError(f"{outcome.failed} of {outcome.requests} requests to {url} failed")
    return outcome
