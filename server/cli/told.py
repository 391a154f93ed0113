"""Tells gateways of a decision, and says who knows of it, for whoever has decided.

A gateway was told once the broker has sent its `desired` back. A connection that is lost meanwhile
is made again, and whoever does not know the decision then is told again.
"""

from time import monotonic
from typing import Final

from models.rollout.plan import Plan
from models.rollout.stage import Stage
from server.rollouts.controller import audience, tell
from server.rollouts.link import REMEDY, Link
from server.rollouts.rules.decision import gateways
from server.rollouts.rules.fleet import FleetView

LOOK_S: Final = 0.2
"""Seconds of a look at the broker."""
_LATER: Final = "They learn it when they look into the registry."


def told(link: Link, plan: Plan, stage: Stage, patience_s: float) -> str:
    """Tell the gateways of a stage until the broker has sent back what they are told.

    Args:
        link: a connection that knows what gateways have said.
        plan: the plan of the rollout.
        stage: the stage, which is signed.
        patience_s: seconds to wait at most.

    Returns:
        How many know of it, how many do not and why, and what to do, in sentences.
    """
    ends_s = monotonic() + patience_s
    asked: set[str] = set()
    lost = ""
    while monotonic() < ends_s:
        view = link.view(plan.stream)
        lost = lost or view.missing
        if not view.missing:
            asked |= audience(plan, view)
            if not asked - _aware(view, stage):
                if not link.unkept(plan.stream):
                    break
            else:
                tell(link, plan, stage, view)
        link.turn(LOOK_S)
    return _said(link, plan, stage, asked, lost or link.missing)


def unasked(plan: Plan, stage: Stage, reason: str) -> str:
    """What is said where nobody could be told, because the broker cannot be reached."""
    return f"No gateway was told by the broker: {reason}. {_signed(plan, stage)}"


def _said(link: Link, plan: Plan, stage: Stage, asked: set[str], lost: str) -> str:
    view, unkept = link.view(plan.stream), asked & {*link.unkept(plan.stream)}
    pushed = asked & _pushed(view)
    know = (asked & _aware(view, stage)) - pushed - unkept
    if lost and know | pushed != asked:
        return (
            f"The connection to the broker was lost before all were told: {lost}. "
            f"{len(know)} of {gateways(len(asked))} are known to be told. {_signed(plan, stage)}"
        )
    said = f"{_were(len(know))} told."
    if pushed:
        said += f" {_were(len(pushed))} not, as a bundle was pushed there."
    if unkept:
        said += (
            f" {_were(len(unkept))} not, as the broker keeps nothing for them: {REMEDY}. {_LATER}"
        )
    return said


def _aware(view: FleetView, stage: Stage) -> set[str]:
    """Gateways that are told of the stage, or a later one, or that a person has told otherwise."""
    hints = {name: one.desired.rollout for name, one in view.members.items() if one.desired}
    return _pushed(view) | {
        name
        for name, hint in hints.items()
        if hint is not None and hint.id == stage.rollout and hint.epoch >= stage.epoch
    }


def _pushed(view: FleetView) -> set[str]:
    """Gateways to which a person has pushed a bundle, which stays."""
    desired = {name: one.desired for name, one in view.members.items()}
    return {name for name, one in desired.items() if one is not None and one.seq is not None}


def _signed(plan: Plan, stage: Stage) -> str:
    """What holds all the same, and what to do."""
    return (
        f"Rollout {plan.id} is {stage.state} all the same: that is signed, and stands in the "
        "registry and in the ledger. A server that runs tells the gateways as soon as it reaches "
        "the broker; the others learn it when they look into the registry. To see who obeys: "
        f"millhand-server rollout status {plan.id}"
    )


def _were(count: int) -> str:
    return f"{gateways(count)} {'was' if count == 1 else 'were'}"
