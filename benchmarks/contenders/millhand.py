"""millhand as a contender: an agent that serves the bundles it has fetched.

The agent is that of this checkout, or for a comparison that of another one, which runs in its own
folder by its own virtual environment.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders.contender import BEFORE, MILLHAND, Contender
from benchmarks.errors import BenchmarkError
from benchmarks.load.broker import running_broker
from benchmarks.load.workload import BLOCKS, KEYS, REGISTRY, ROWS, SCALARS, Shape
from tests.kit.broker.brokers import HOST
from tests.kit.children import ROOT

GATEWAY = "benchmark"

_SERVING = ("throughput", "latency", "topics", "blocks", "memory", "start", "backlog")
_FETCH_S = 60.0
_OUT_OF_REACH = f"http://{HOST}:9/"
_CONFIG = """\
[gateway]
id = "{gateway}"
state_dir = "{state}"

[broker]
host = "{host}"
port = {port}

[registry]
url = "{registry}"
root = "{root}"

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


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout of the project whose agent is measured.

    Attributes:
        name: name of the contender in the tables.
        folder: folder of the checkout.
        interpreter: the Python in whose environment the agent runs.
    """

    name: str
    folder: Path
    interpreter: Path

    def state(self, folder: Path, shape: Shape) -> Path:
        """The agent's state folder for one shape of readings, below the benchmark's folder."""
        return folder / f"{self.name}-{shape.stream}-state"


THIS = Checkout(MILLHAND, ROOT, Path(sys.executable))


def checkout(folder: Path) -> Checkout:
    """Return another checkout, for a comparison.

    Raises:
        BenchmarkError: it has no agent, or no virtual environment.
    """
    folder = folder.absolute()
    interpreter = folder / ".venv" / "bin" / "python"
    for needed in (folder / "agent" / "__main__.py", interpreter):
        if not needed.exists():
            raise BenchmarkError(f"{needed} is missing: run make check in that checkout")
    return Checkout(BEFORE, folder, interpreter)


def millhand(folder: Path, *, online: bool, of: Checkout = THIS) -> Contender:
    """Return the agent, with its state in `folder`.

    Args:
        folder: the benchmark's folder, with registry and keys in it.
        online: whether the agent reaches the registry, as it must to swap models; otherwise it
            serves what it has kept.
        of: the checkout whose agent it is.
    """

    def command(port: int, qos: int, shape: Shape) -> list[str]:
        config = folder / "agent.toml"
        content = _CONFIG.format(
            gateway=GATEWAY,
            state=of.state(folder, shape),
            host=HOST,
            port=port,
            registry=f"file://{folder / REGISTRY}" if online else _OUT_OF_REACH,
            root=folder / KEYS / "root.json",
            stream=shape.stream,
            qos=qos,
            source=_SOURCES[shape],
        )
        config.write_text(content)
        # Not in the file, because an earlier release does not know the section.
        swaps_back = ["env", "MILLHAND_UPDATES__ALLOW_DOWNGRADE=true"] if online else []
        return [*swaps_back, str(of.interpreter), "-m", "agent", "run", "--config", str(config)]

    experiments = frozenset({"swap"} if online else _SERVING)
    return Contender(of.name, command, experiments, has_windows=True, folder=of.folder)


def fetch(folder: Path, of: Checkout = THIS) -> None:
    """Let the agent fetch its bundles, and wait until its record of what it serves is on disk.

    It is not enough to wait for the first prediction, as the record is written after it.

    Raises:
        KitError: the agent did not fetch a bundle; the error has the end of its log.
    """
    agent = millhand(folder, online=True, of=of)
    for shape in _SOURCES:
        record = of.state(folder, shape) / "active" / f"{shape.stream}.json"
        with (
            running_broker(folder) as port,
            agent.child(agent.command(port, 1, shape), folder / "fetch.log") as child,
        ):
            child.wait_until(record.exists, _FETCH_S)
