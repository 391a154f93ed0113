"""Programs in JavaScript as contenders: mqtt.js with onnxruntime-node, and a Node-RED flow.

They are installed into the user's cache, in the versions that javascript/package.json names, and
serve the same graph as the agent.
"""

import json
import os
import shutil
from pathlib import Path

from benchmarks.contenders.contender import Contender
from benchmarks.errors import BenchmarkError
from benchmarks.load.workload import GRAPH, Shape
from tests.kit.children import run

MQTTJS, NODE_RED = "mqtt.js", "Node-RED"

_SOURCES = Path(__file__).parent / "javascript"
_PACKAGE = "package.json"
_STAMP = "installed.json"
_EXPERIMENTS = frozenset({"throughput", "latency", "memory", "start"})
_INSTALL_S = 600.0
_VERSION_S = 10.0
# Without install scripts, as that of onnxruntime-node would download CUDA.
_INSTALL = ("install", "--package-lock=false", "--ignore-scripts", "--no-audit", "--no-fund")


def installed() -> Path:
    """Return the folder with the programs and their packages; they are installed if need be.

    Raises:
        BenchmarkError: Node or npm is missing, or npm fails.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise BenchmarkError("Node 18 or newer and npm are needed; on Debian: apt install npm")
    folder = _cache() / "millhand-bench"
    folder.mkdir(parents=True, exist_ok=True)
    for source in _SOURCES.iterdir():
        shutil.copy(source, folder)
    wanted, stamp = (folder / _PACKAGE).read_text(), folder / _STAMP
    if not stamp.exists() or stamp.read_text() != wanted:
        run([npm, "--prefix", os.fspath(folder), *_INSTALL], _INSTALL_S)
        stamp.write_text(wanted)
    return folder


def peers(folder: Path) -> list[Contender]:
    """Return both programs as contenders, with the graph in `folder`."""
    home, model = installed(), os.fspath(folder / GRAPH)
    node_red = [os.fspath(home / "node_modules/node-red/red.js")]
    node_red += ["--userDir", os.fspath(folder / "node-red")]
    node_red += ["--settings", os.fspath(home / "settings.js"), os.fspath(home / "flow.json")]

    def mqttjs(port: int, qos: int, _: Shape) -> list[str]:
        return ["node", os.fspath(home / "mqttjs.js"), model, str(port), str(qos)]

    def flow(port: int, qos: int, _: Shape) -> list[str]:
        asked = (f"MODEL={model}", f"BROKER_PORT={port}", f"QOS={qos}")
        return ["env", *asked, "node", *node_red]

    # Node-RED ends its subscriptions when it stops, so that it has no backlog at its next start.
    return [
        Contender(MQTTJS, mqttjs, _EXPERIMENTS | {"backlog"}),
        Contender(NODE_RED, flow, _EXPERIMENTS),
    ]


def versions() -> str:
    """Return the versions that are installed, for the line about the machine."""
    packages = json.loads((_SOURCES / _PACKAGE).read_text())["dependencies"]
    named = ", ".join(f"{name} {version}" for name, version in packages.items())
    return f"node {run(['node', '--version'], _VERSION_S).strip()}, {named}"


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
