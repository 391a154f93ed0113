"""millhand as a contender: an agent that serves the bundle it has fetched."""

import os
from pathlib import Path

from benchmarks.broker import HOST
from benchmarks.children import python
from benchmarks.contenders import MILLHAND, Contender
from benchmarks.workload import KEYS, REGISTRY, STREAM

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
