"""Registry, ledger and proposals together, opened for one thread or one command."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.retraining.proposals import Proposals
from server.retraining.settings import Retraining
from server.rollouts.ledger import Ledger
from server.rollouts.registry_folder import RegistryFolder
from server.rollouts.service import LEDGER, documents, now
from server.rollouts.settings import Rollouts

FOLDER: Final = "retraining"
"""The folder of the proposals below the state folder."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a retraining needs of the server.

    Attributes:
        retraining: the section `[retraining]`.
        rollouts: the section `[rollouts]`.
        registry: the registry.
        ledger: the ledger of rollouts, in which the states of proposals stand as well.
        proposals: the proposals.
    """

    retraining: Retraining
    rollouts: Rollouts
    registry: RegistryFolder
    ledger: Ledger
    proposals: Proposals

    @property
    def by(self) -> str:
        """The name by which the server stands in the ledger."""
        return f"controller {self.rollouts.name}"


@contextmanager
def opened(retraining: Retraining, rollouts: Rollouts, state_dir: Path) -> Iterator[Opened]:
    """Open all of it, and close the ledger afterwards.

    Raises:
        RolloutError: registry or ledger cannot be used.
    """
    registry = documents(rollouts)
    ledger = Ledger(state_dir / LEDGER, registry.identity, rollouts.ledger_lines)
    try:
        proposals = Proposals(state_dir / FOLDER, ledger, now)
        yield Opened(retraining, rollouts, registry, ledger, proposals)
    finally:
        ledger.close()
