"""What a controller needs of the registry: the signed plans and stages, and to sign a stage."""

from typing import Protocol

from models.rollout.stage import Stage
from server.rollouts.errors import DecisionError
from serving.publishing.rollouts import Rollout


class Documents(Protocol):
    """The registry, as far as rollouts are concerned. The calls block."""

    @property
    def identity(self) -> str:
        """What tells this registry from every other."""

    def rollouts(self) -> tuple[Rollout, ...]:
        """The last rollout of each stream.

        Raises:
            DocumentError: they cannot be read, or are not signed as they must be.
        """

    def write(self, stage: Stage) -> None:
        """Sign a stage, and publish it. To write the newest once more changes nothing.

        Raises:
            DocumentError: it cannot be written, or does not follow the newest one.
        """


def find(documents: Documents, rollout: str) -> Rollout:
    """A rollout by its identity.

    Raises:
        DecisionError: the registry has no such rollout; rollouts that were superseded are over.
        DocumentError: the registry cannot be read.
    """
    found = {one.plan.id: one for one in documents.rollouts()}
    if rollout not in found:
        known = (
            f"the registry has {', '.join(sorted(found))}, and what these have superseded is over"
            if found
            else "the registry has none: sign a plan first, by millhand-server rollout plan"
        )
        raise DecisionError(f"there is no rollout '{rollout}'; {known}")
    return found[rollout]
