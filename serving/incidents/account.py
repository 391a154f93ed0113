"""What a program knows of the deaths of its earlier runs, and what follows from them (ADR 23)."""

import os
from pathlib import Path
from typing import Final

from models.bundle.identity import BundleRef
from serving import log
from serving.incidents.deaths import Deaths
from serving.incidents.quarantine import Quarantine
from serving.incidents.under_way import UnderWay

MAX_DEATHS: Final = 2
"""Deaths of a model after which the bundle before it serves instead."""


class Account:
    """The deaths of the program, and the bundles that it avoids because of them.

    Args:
        state_dir: the program's own folder, which survives a restart.
        poison_deaths: deaths after which an input is given to its model no more.
        page: name of the file that says what is under way. Programs that share a state folder
            have one each.

    Attributes:
        under_way: what is under way now, and how the run before has ended.
        deaths: how often models and inputs have ended the program.
        quarantine: bundles that must not serve here.
        poison_deaths: as given.
    """

    def __init__(self, state_dir: Path, poison_deaths: int, page: str = "under-way") -> None:
        self.poison_deaths = poison_deaths
        self.deaths = Deaths(state_dir / "deaths.json")
        self.quarantine = Quarantine(state_dir / "quarantine.json")
        self.under_way = _opened(state_dir, page)
        self._is_counted = True
        death = self.under_way.death
        if death is None:
            return
        try:
            self.deaths.add(death)
        except OSError as exc:
            self._is_counted = False
            log.warning("a death cannot be recorded", reason=exc.strerror)
        log.error(
            "the run before ended while a model was at work",
            sha256=death.sha256,
            at="loading" if death.is_loading else "inference",
            deaths=self.deaths.of_model(death.sha256),
        )

    @property
    def suspect(self) -> str:
        """Digest of the bundle whose model was at work when the run before ended; else empty."""
        return self.under_way.death.sha256 if self.under_way.death is not None else ""

    def is_doubted(self, sha256: str) -> bool:
        """Whether the program has died of a bundle lately, by its digest."""
        return sha256 == self.suspect or self.deaths.of_model(sha256) > 0

    def is_deadly(self, ref: BundleRef, *, has_other: bool) -> bool:
        """Whether a bundle has ended the program so often that it must not serve any more.

        Where there is no other bundle, its model gets more tries: by then the input that it dies of
        is known, and left out. A death that the disk does not record is enough by itself: the next
        start would know nothing of it, and so on for ever.

        Args:
            ref: the bundle.
            has_other: whether another bundle could serve in its place.
        """
        if not self._is_counted and ref.sha256 == self.suspect:
            return True
        most = MAX_DEATHS if has_other else MAX_DEATHS + self.poison_deaths
        return self.deaths.of_model(ref.sha256) >= most


def _opened(state_dir: Path, page: str) -> UnderWay:
    """The page of what is under way, in the folder of the service that is lost with the power."""
    folder = Path(os.environ.get("RUNTIME_DIRECTORY", state_dir))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return UnderWay(folder / page)
    except OSError as exc:
        log.warning("a death by a model would not be noticed", reason=f"{folder}: {exc.strerror}")
        return UnderWay()
