"""Why something about a rollout is refused. The message names the remedy.

RolloutError
├── PlanError            a plan that cannot be meant, by `code`: see `server.rollouts.planning`
├── DecisionError        a decision that the rollout's state does not allow
├── FencedError          another controller, or a person, has decided since
├── LedgerError          the ledger cannot be read or written
│   ├── DamagedLedgerError   it is damaged: rebuild it
│   └── OtherLedgerError     it belongs to another registry
└── DocumentError        plans and stages cannot be read or signed
"""

from typing import ClassVar

from models.errors import MillhandError


class RolloutError(MillhandError):
    """Root of what is refused about rollouts."""

    code: ClassVar[str] = "rollout"


class PlanError(RolloutError):
    """A plan that cannot be meant.

    Args:
        reason: code of the reason, from the bounded set of `server.rollouts.planning`.
        message: what was found, and the remedy.

    Attributes:
        reason: as given.
    """

    code: ClassVar[str] = "rollout_plan"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason


class DecisionError(RolloutError):
    """There is no such rollout, or its state does not allow the decision."""

    code: ClassVar[str] = "rollout_decision"


class FencedError(RolloutError):
    """Somebody else has decided since; look at what there is now, and decide again."""

    code: ClassVar[str] = "rollout_fenced"


class LedgerError(RolloutError):
    """The ledger cannot be read or written, for now."""

    code: ClassVar[str] = "rollout_ledger"


class DamagedLedgerError(LedgerError):
    """The ledger is damaged. Nothing is opened until it was rebuilt."""

    code: ClassVar[str] = "rollout_ledger_damaged"


class OtherLedgerError(LedgerError):
    """The ledger belongs to another registry."""

    code: ClassVar[str] = "rollout_ledger_other"


class DocumentError(RolloutError):
    """Plans or stages of the registry cannot be read, or a stage cannot be signed."""

    code: ClassVar[str] = "rollout_documents"
