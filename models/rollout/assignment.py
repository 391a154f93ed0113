"""What a rollout asks of one gateway: a pure function of what is signed and what serves there."""

from dataclasses import dataclass
from typing import Literal

from models.rollout.membership import group_of
from models.rollout.plan import Plan
from models.rollout.stage import Stage

Part = Literal["former", "shadow", "serve"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a gateway does in a rollout.

    Attributes:
        part: `former` keeps, or brings back, the bundle from before; `shadow` keeps it, with the
            new bundle in its shadow; `serve` has the new one serve.
        group: name of the gateway's group; empty if it belongs to none.
        reason: the reason in words.
    """

    part: Part
    group: str
    reason: str


def assigned(plan: Plan, stage: Stage, gateway: str, *, serves: int | None) -> Assignment:
    """What a rollout asks of a gateway.

    A gateway that was away, or is new, is asked for what is open to its own group now. While a
    rollout is held, gateways that serve the new bundle keep it, and no other changes to it.

    Args:
        plan: the plan, as signed.
        stage: the newest stage that was signed.
        gateway: id of the gateway.
        serves: number of the bundle that serves there; None for none.
    """
    index = group_of(plan, gateway)
    group = plan.groups[index].name if index is not None else ""
    modes = [step.mode for step in plan.steps[: stage.stage] if step.group == index]
    part: Part = "former"
    if stage.state == "reverted":
        reason = f"was reverted: {stage.reason}"
    elif stage.state == "done":
        part, reason = "serve", "is done"
    elif index is None:
        reason = "is not for this gateway"
    elif plan.from_seqs and serves not in (*plan.from_seqs, plan.seq):
        reason = f"does not begin from seq {serves}"
    elif not modes:
        reason = f"has not opened group {group}"
    elif modes[-1] == "serve" and stage.state == "held" and serves != plan.seq:
        reason = f"is held: {stage.reason}"
    else:
        part, reason = modes[-1], f"has opened group {group}"
    return Assignment(part, group, f"rollout {plan.id} {reason}")
