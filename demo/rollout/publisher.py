"""The publisher's side: a good model and a bad one, and the commands of their rollouts."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import tomli_w

from demo.errors import DemoError
from demo.release import Step
from demo.rollout.scenario import SCHEME, SITES
from demo.telemetry import STREAM
from demo.workshop import Workshop, recipe
from models.bundle.correlation import Correlation, block_s
from models.bundle.package import load_bundle
from models.bundle.reference import read_document
from tests.kit.children import python

GOOD, BAD = 2, 3
BAD_REASON: Final = "the labels of its history were mixed up"
_SOAK_S: Final = 5.0
_DISAGREEMENT: Final = 0.2


class Publisher:
    """Trains three versions, and rolls two of them out.

    Args:
        workshop: folders and commands of the trainer's side.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._work = workshop.work
        self.online_keys = self._work / "online-key"
        self._config = self._work / "server.toml"

    def split_keys(self) -> None:
        """Give the controller a folder with the online key alone."""
        self.online_keys.mkdir()
        keys = self._workshop.keys
        for path in (keys / "root.json", *keys.glob("online*.pem")):
            shutil.copy(path, self.online_keys)

    def make(self) -> list[Step]:
        """Return the steps that write the history and train all versions; the first is published.

        The good one is trained on a day more, and the bad one on labels that were mixed up.
        """
        former, days = self._files("history", 1), self._files("history", 2)
        mistaken = self._files("mistaken", 2)
        train, publish = self._workshop.train, self._workshop.publish
        return [
            *self._workshop.record("demo.rollout.history"),
            train(1, "train version 1 on a day of three sites", recipe(1, former, SCHEME)),
            publish(1),
            train(GOOD, "train version 2 on two days of them", recipe(GOOD, days, SCHEME)),
            Step(
                "somebody mixes up the labels of the history",
                python("demo.rollout.mistakes", self._work / "history", self._work / "mistaken"),
            ),
            train(BAD, "train version 3 on these labels", recipe(BAD, mistaken, SCHEME)),
        ]

    def block_s(self, seq: int) -> float:
        """Seconds that these plants remember, as two bundles say.

        Args:
            seq: number of the bundle that is to be compared with the one before it.

        Raises:
            DemoError: a bundle does not say it.
        """
        former, own = (_correlation(self._workshop.bundle(one)) for one in (seq - 1, seq))
        memory_s = block_s(former, own)
        if memory_s is None:
            raise DemoError(f"bundle {seq} does not say how long a plant remembers")
        return round(memory_s, 2)

    def plan(self, seq: int, block_s: float) -> Step:
        """Write the plan of a rollout, and return the step that checks and signs it."""
        path = self._work / f"plan-{seq}.toml"
        document = {
            "id": f"pump-{seq}",
            "stream": STREAM,
            "seq": seq,
            "deadline": datetime.now(UTC) + timedelta(hours=2),
            # 3 % and hours would do for a plant; with 20 % some two dozen blocks suffice.
            "gates": {"block_s": block_s, "disagreement": _DISAGREEMENT},
            "groups": [
                {"name": "first", "gateways": [SITES[0]], "soak_s": _SOAK_S},
                {"name": "rest", "share": 1.0, "mode": "serve", "soak_s": _SOAK_S},
            ],
        }
        path.write_text(tomli_w.dumps(document), encoding="utf-8")
        bundle = self._workshop.bundle(seq)
        options = ("--bundle", bundle, "--keys", self._workshop.keys)
        return self._rollout(f"plan and sign the rollout of version {seq}", "plan", path, *options)

    def start(self, seq: int) -> Step:
        """Start a rollout."""
        return self._rollout("start it", "start", f"pump-{seq}", "--by", "demo")

    def status(self, seq: int) -> Step:
        """Show how a rollout stands."""
        return self._rollout("how it stands", "status", f"pump-{seq}")

    def revert(self, seq: int) -> Step:
        """Revert a rollout."""
        why = ("--by", "demo", "--reason", BAD_REASON)
        return self._rollout("revert it", "revert", f"pump-{seq}", *why)

    def _rollout(self, title: str, *words: str | Path) -> Step:
        return Step(title, python("server", "rollout", *words, "--config", self._config))

    @staticmethod
    def _files(folder: str, days: int) -> list[str]:
        return [f"{folder}/day-{day}.csv" for day in range(1, days + 1)]


def _correlation(path: Path) -> Correlation | None:
    """How long plants remember, as a bundle says; None where it does not."""
    bundle = load_bundle(path)
    reference = read_document(bundle.reference, bundle.manifest.channels)
    return None if reference is None else reference.correlation
