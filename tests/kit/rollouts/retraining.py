"""A server that proposes retraining, without its process: registry, ledger, recipe, recordings."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import tomli_w

from server.retraining.opened import Opened, opened
from server.retraining.proposal import Witness
from server.retraining.settings import Retraining
from server.rollouts.settings import Rollouts
from tests.kit.bundles.factories import make_bundle, make_manifest
from tests.kit.bundles.published import Published
from tests.kit.bundles.publishing import bundle_file, split_keys

STREAM = "press"
PLAN = {"groups": [{"name": "first", "gateways": ["gw1"], "soak_s": 0.0}]}
"""A plan of a rollout without what is filled in."""


class Said:
    """What gateways say, as a test puts it."""

    missing = ""

    def __init__(self, *witnesses: Witness) -> None:
        self.said: Sequence[Witness] = witnesses

    def witnesses(self, stream: str) -> Sequence[Witness]:
        """What each gateway says of a stream."""
        return self.said if stream == STREAM else ()


def drifting(hours: float = 7.0, gateway: str = "gw1") -> Witness:
    """A gateway that has said for so long that there is drift."""
    return Witness(
        gateway=gateway,
        drift_s=hours * 3600,
        worst="CDP",
        view="relation",
        asset="gt1",
        ratio=1.4,
    )


class Plant:
    """A registry with bundle 1 of a stream, and a recipe with a recording that is newer.

    Attributes:
        folder: folder of all of it.
        published: the registry and its keys.
        recipe: path of the recipe.
        recording: path of the one recording.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.published = Published.create(folder)
        self.published.publish(make_bundle(make_manifest(stream=STREAM, seq=1)))
        self._online = split_keys(self.published.keys, folder / "online", "online")
        self.recording = folder / "recordings" / "one.csv"
        self.recording.parent.mkdir()
        self.recording.write_text("ts,c0\n1,2\n")
        self.recipe = self.write_recipe()
        self.template = folder / "template.toml"
        self.template.write_bytes(tomli_w.dumps(PLAN).encode())

    @property
    def rollouts(self) -> dict[str, object]:
        """The section `[rollouts]` without its broker."""
        registry, keys = str(self.published.folder), str(self._online.folder)
        return {"registry": registry, "keys": keys, "name": "c1"}

    def write_recipe(self, **sections: object) -> Path:
        """Write the recipe, with sections in place of its own."""
        path = self.folder / "recipe.toml"
        recipe = {"bundle": {"stream": STREAM}, "data": {"files": ["recordings/*.csv"]}, **sections}
        path.write_bytes(tomli_w.dumps(recipe).encode())
        return path

    def settings(self, stream: dict[str, object] | None = None, **fields: object) -> Retraining:
        """The section `[retraining]`: drift of six hours proposes, and training copies a bundle."""
        one = {"stream": STREAM, "recipe": str(self.recipe), "drift_after_s": 21_600.0}
        return Retraining.model_validate(
            {
                "streams": [{**one, **(stream or {})}],
                "command": self.training(),
                "look_s": 0.1,
                **fields,
            }
        )

    def training(self, seq: int = 2) -> list[str]:
        """A command that leaves a bundle of this seq."""
        made = bundle_file(self.folder, seq, STREAM)
        code = "import shutil, sys; print('trained'); shutil.copy(sys.argv[1], sys.argv[2])"
        return [sys.executable, "-c", code, str(made), f"{{folder}}/{STREAM}-{{seq}}.zip"]

    @contextmanager
    def opened(self, settings: Retraining) -> Iterator[Opened]:
        """Registry, ledger and proposals."""
        rollouts = Rollouts.model_validate({**self.rollouts, "broker": {"host": "127.0.0.1"}})
        with opened(settings, rollouts, self.folder / "state") as of:
            yield of


def later(days: float) -> datetime:
    """A time of day in some days."""
    return datetime.now(UTC) + timedelta(days=days)
