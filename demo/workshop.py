"""The trainer's side of the demo: recipes, and the commands that bring a version to a gateway."""

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
max_gap_s = 60

[target]
task = "classification"
column = "condition"
classes = {classes}

[split]
method = "time"
test = 0.25
"""
_SIGNAL = """\
[[signals]]
name = "{name}"
unit = "{unit}"
range = [{low}, {high}]
"""


def recipe(seq: int) -> str:
    """Return the recipe of a version as TOML; the second version reads more days than the first."""
    return _RECIPE.format(
        stream=STREAM,
        version=f"1.{seq - 1}.0",
        files=", ".join(f'"history/day-{day}.csv"' for day in range(1, DAYS[seq] + 1)),
        signals="\n".join(
            _SIGNAL.format(name=name, unit=s.unit, low=s.valid_range[0], high=s.valid_range[1])
            for name, s in SIGNALS.items()
        ),
        window=WINDOW,
        classes=f'["{HEALTHY}", "{WORN_BEARING}", "{CAVITATION}"]',
    )


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
        self.trusted_root = work / "keys" / "root.json"
        self._keys = work / "keys"
        self._history = work / "history"
        self._bundles = work / "bundles"
        self._port = port
        self._hours = hours

    def record(self) -> list[Step]:
        """Return the steps before any version: to write the history, and an empty registry."""
        history = (self._history, str(max(DAYS.values())), str(self._hours))
        registry = ("registry", "init", self.registry, "--keys", self._keys)
        return [
            Step("the plant records its history", python("demo.plant.history", *history)),
            Step("create a registry and its keys", python("trainer", *registry)),
        ]

    def make(self, seq: int) -> list[Step]:
        """Write the recipe of a version, and return the steps that train and publish it."""
        path = self.work / f"recipe-{seq}.toml"
        path.write_text(recipe(seq), encoding="utf-8")
        train = ("train", path, "--out", self._bundles, "--seq", str(seq))
        bundle = self._bundles / f"{STREAM}-{seq}.zip"
        publish = ("publish", bundle, "--registry", self.registry, "--keys", self._keys)
        hours = self._hours * DAYS[seq]
        return [
            Step(f"train version {seq} on {hours} h of history", python("trainer", *train)),
            Step(f"sign and publish version {seq}", python("trainer", *publish)),
        ]

    def push(self, seq: int) -> Step:
        """Return the step that pushes a version to the gateway, and waits until it serves."""
        push = ("push", STREAM, str(seq), "--gateway", GATEWAY, "--broker", f"{HOST}:{self._port}")
        return Step(f"push version {seq} to the gateway", python("trainer", *push))
