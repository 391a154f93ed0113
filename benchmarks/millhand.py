"""millhand as a contender: an agent that serves the bundle it has fetched."""

import os
import time
from pathlib import Path

from benchmarks.broker import HOST, running_broker
from benchmarks.children import BenchmarkError, python, running, tail
from benchmarks.contenders import MILLHAND, Contender
from benchmarks.workload import KEYS, REGISTRY, STREAM

_FETCH_S = 60.0
_POLL_S = 0.05
_OUT_OF_REACH = f"http://{HOST}:9/"
_CONFIG = """\
[gateway]
id = "benchmark"
state_dir = "{folder}/state"

[broker]
host = "{host}"
port = {port}

[registry]
url = "{registry}"
root = "{folder}/{keys}/root.json"

[[pipelines]]
stream = "{stream}"

[pipelines.output]
topic = "plant/l1/{{asset}}/_inference/{{stream}}"
qos = {qos}

[[pipelines.inputs]]
topic = "plant/l1/{{asset}}/telemetry"
qos = {qos}
timestamp = "timestamp"
"""


def millhand(folder: Path, *, online: bool) -> Contender:
    """Return the agent, with its state in `folder`.

    Args:
        folder: the benchmark's, with registry and keys in it.
        online: whether it reaches the registry; if not, it serves what it has kept.
    """
    registry = f"file://{folder / REGISTRY}" if online else _OUT_OF_REACH
    places = {"folder": folder, "keys": KEYS, "registry": registry, "host": HOST, "stream": STREAM}

    def command(port: int, qos: int) -> list[str]:
        config = folder / "agent.toml"
        config.write_text(_CONFIG.format(port=port, qos=qos, **places))
        return python("agent", "run", "--config", os.fspath(config))

    return Contender(MILLHAND, command)


def fetch(folder: Path) -> None:
    """Let the agent fetch its bundle, and wait until its record of what it serves is on disk.

    The first prediction is not enough to wait for: the record is written after it.

    Raises:
        BenchmarkError: it did not; the agent's log is told.
    """
    record, log = folder / "state" / "active" / f"{STREAM}.json", folder / "fetch.log"
    agent = millhand(folder, online=True)
    with running_broker(folder) as port, running(agent.command(port, 1), log):
        deadline = time.monotonic() + _FETCH_S
        while not record.exists():
            if time.monotonic() > deadline:
                raise BenchmarkError(f"the agent kept no bundle within {_FETCH_S:g} s: {tail(log)}")
            time.sleep(_POLL_S)
