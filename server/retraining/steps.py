"""At which step of the closed loop a line of the ledger is, in a word or two for people.

    proposal -> consent -> training -> publication -> shadow, GROUP -> serving, GROUP -> ...

A line that ends a proposal is at the step that it ends. The steps of the rollout are those of its
plan.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from models.rollout.plan import Plan
from server.rollouts.ledger import Line

FIRST: Final = "proposal"
_STEPS: Final[Mapping[str, str]] = {
    "proposed": FIRST,
    "accepted": "consent",
    "training": "training",
    "trained": "training",
    "publishing": "publication",
    "published": "publication",
}
_WORDS: Final = {"shadow": "shadow", "serve": "serving"}


def steps_of(lines: Sequence[Line], plan: Plan | None) -> list[str]:
    """The step of each line.

    Args:
        lines: lines of a retraining and of its rollout, the newest first.
        plan: the plan of the rollout; None where none is known.

    Returns:
        As many words as there are lines, in the same order.
    """
    found: list[str] = []
    last = FIRST
    for line in reversed(lines):
        if line.what != "retrains":
            last = _of_rollout(line.stage, plan)
        else:
            last = _STEPS.get(line.state, last)
        found.append(last)
    return found[::-1]


def _of_rollout(stage: int, plan: Plan | None) -> str:
    if not stage:
        return "rollout"  # no group is open yet
    if plan is None or stage > len(plan.steps):
        return f"rollout, step {stage}"
    step = plan.steps[stage - 1]
    return f"{_WORDS[step.mode]}, {plan.groups[step.group].name}"
