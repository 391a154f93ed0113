"""millhand as a contender: an agent that serves the bundles it has fetched."""

import os
import time
from pathlib import Path

from benchmarks.broker import HOST, running_broker
from benchmarks.children import BenchmarkError, python, running, tail
from benchmarks.contenders.contender import MILLHAND, Contender
from benchmarks.load.workload import BLOCKS, KEYS, REGISTRY, ROWS, SCALARS, Shape

GATEWAY = "benchmark"

_SERVING = ("throughput", "latency", "topics", "blocks", "memory", "start", "backlog")
_FETCH_S = 60.0
_POLL_S = 0.05
_OUT_OF_REACH = f"http://{HOST}:9/"
_CONFIG = """\
[gateway]
id = "{gateway}"
state_dir = "{folder}/{stream}-state"

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
qos = {qos}
{source}
"""
_ROW = """\
topic = "plant/l1/{asset}/telemetry"
timestamp = "timestamp"
"""
_SCALAR = """\
topic = "plant/l1/{asset}/raw/{signal}"
dialect = "scalar"
value = "value"
timestamp = "timestamp"
"""
_BLOCK = """\
topic = "plant/l1/{asset}/vibration"
dialect = "block"
encoding = "float32"
"""
_SOURCES = {ROWS: _ROW, SCALARS: _SCALAR} | dict.fromkeys(BLOCKS, _BLOCK)


def millhand(folder: Path, *, online: bool) -> Contender:
    """Return the agent, with its state in `folder`.

    Args:
        folder: the benchmark's, with registry and keys in it.
        online: whether it reaches the registry, as it must to swap models; if not, it serves what
            it has kept.
    """
    places = {
        "gateway": GATEWAY,
        "folder": folder,
        "keys": KEYS,
        "registry": f"file://{folder / REGISTRY}" if online else _OUT_OF_REACH,
        "host": HOST,
    }

    def command(port: int, qos: int, shape: Shape) -> list[str]:
        config = folder / "agent.toml"
        asked = {"port": port, "qos": qos, "stream": shape.stream, "source": _SOURCES[shape]}
        config.write_text(_CONFIG.format(**places, **asked))
        return python("agent", "run", "--config", os.fspath(config))

    experiments = frozenset({"swap"} if online else _SERVING)
    return Contender(MILLHAND, command, experiments, has_windows=True)


def fetch(folder: Path) -> None:
    """Let the agent fetch its bundles, and wait until its record of what it serves is on disk.

    The first prediction is not enough to wait for: the record is written after it.

    Raises:
        BenchmarkError: it did not; the agent's log is told.
    """
    for shape in _SOURCES:
        state, log = folder / f"{shape.stream}-state", folder / "fetch.log"
        record = state / "active" / f"{shape.stream}.json"
        agent = millhand(folder, online=True)
        with running_broker(folder) as port, running(agent.command(port, 1, shape), log):
            deadline = time.monotonic() + _FETCH_S
            while not record.exists():
                if time.monotonic() > deadline:
                    raise BenchmarkError(f"no bundle kept within {_FETCH_S:g} s: {tail(log)}")
                time.sleep(_POLL_S)
