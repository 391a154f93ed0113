"""The trainer's side of the demo: recipes, and the commands that bring a version to a gateway."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.gateway import GATEWAY
from demo.plant.scenario import WINDOW
from demo.plant.simulation import CAVITATION, HEALTHY, SIGNALS, WORN_BEARING
from demo.release import Step
from demo.telemetry import STREAM
from tests.kit.broker.brokers import HOST
from tests.kit.children import python

DAYS = {1: 1, 2: 2}  # days of history that each version is trained on

_RECIPE = """\
seed = 1

[bundle]
stream = "{stream}"
name = "condition of a circulation pump"
version = "{version}"

[data]
files = [{files}]
asset_column = "asset"
time = {{ column = "time" }}

{signals}
[window]
length = {window}
hop = 1
max_gap_s = {max_gap_s}

[target]
task = "classification"
column = "condition"
classes = {classes}

[split]
method = "time"
test = 0.25
"""
_SEARCH = """
[search]
trials = 1
jobs = 1
candidates = ["{family}"]
"""
_SIGNAL = """\
[[signals]]
name = "{name}"
unit = "{unit}"
range = [{low}, {high}]
"""


@dataclass(frozen=True, slots=True)
class Scheme:
    """What recipes say of the data and of the model.

    Attributes:
        window: samples of a window.
        max_gap_s: seconds without a sample after which a window begins anew.
        family: the family of models that is fitted; empty for the trainer's default.
    """

    window: int = WINDOW
    max_gap_s: float = 60.0
    family: str = ""


def recipe(seq: int, files: Sequence[str], scheme: Scheme = Scheme()) -> str:
    """Return the recipe of a version as TOML.

    Args:
        seq: number of the bundle.
        files: files of the history that it is trained on.
        scheme: what is said of the data and of the model.
    """
    text = _RECIPE.format(
        stream=STREAM,
        version=f"1.{seq - 1}.0",
        files=", ".join(f'"{file}"' for file in files),
        signals="\n".join(
            _SIGNAL.format(name=name, unit=s.unit, low=s.valid_range[0], high=s.valid_range[1])
            for name, s in SIGNALS.items()
        ),
        window=scheme.window,
        max_gap_s=f"{scheme.max_gap_s:g}",
        classes=f'["{HEALTHY}", "{WORN_BEARING}", "{CAVITATION}"]',
    )
    return text + (_SEARCH.format(family=scheme.family) if scheme.family else "")


class Workshop:
    """Folders and commands of the trainer's side.

    Args:
        work: folder for all files.
        port: port of the broker on the loopback.
        hours: hours in a day of the recorded history.
    """

    def __init__(self, work: Path, port: int, hours: int) -> None:
        self.work = work
        self.registry = work / "registry"
        self.keys = work / "keys"
        self.trusted_root = self.keys / "root.json"
        self._history = work / "history"
        self._bundles = work / "bundles"
        self._port = port
        self._hours = hours

    def record(self, program: str = "demo.plant.history") -> list[Step]:
        """Return the steps before any version: to write the history, and an empty registry.

        Args:
            program: module that writes the history.
        """
        history = (self._history, str(max(DAYS.values())), str(self._hours))
        registry = ("registry", "init", self.registry, "--keys", self.keys)
        return [
            Step("the plant records its history", python(program, *history)),
            Step("create a registry and its keys", python("trainer", *registry)),
        ]

    def make(self, seq: int) -> list[Step]:
        """Write the recipe of a version, and return the steps that train and publish it."""
        files = [f"history/day-{day}.csv" for day in range(1, DAYS[seq] + 1)]
        title = f"train version {seq} on {self._hours * DAYS[seq]} h of history"
        return [self.train(seq, title, recipe(seq, files)), self.publish(seq)]

    def train(self, seq: int, title: str, text: str) -> Step:
        """Write the recipe of a version, and return the step that trains it."""
        path = self.work / f"recipe-{seq}.toml"
        path.write_text(text, encoding="utf-8")
        train = ("train", path, "--out", self._bundles, "--seq", str(seq))
        return Step(title, python("trainer", *train))

    def publish(self, seq: int) -> Step:
        """Return the step that signs and publishes a version."""
        publish = ("publish", self.bundle(seq), "--registry", self.registry, "--keys", self.keys)
        return Step(f"sign and publish version {seq}", python("trainer", *publish))

    def bundle(self, seq: int) -> Path:
        """Return the path of the bundle of a version."""
        return self._bundles / f"{STREAM}-{seq}.zip"

    def push(self, seq: int) -> Step:
        """Return the step that pushes a version to the gateway, and waits until it serves."""
        push = ("push", STREAM, str(seq), "--gateway", GATEWAY, "--broker", f"{HOST}:{self._port}")
        return Step(f"push version {seq} to the gateway", python("trainer", *push))
