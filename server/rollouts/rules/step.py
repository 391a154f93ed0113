"""What a rollout does next: a pure function of plan, stage and what the gateways have said.

Rules, in the order in which they are asked:

1. What is held, reverted or done stays as it is; only a person changes it.
2. More than `max_failed` failed gateways in an open group hold the rollout.
3. A mean of the e-values of an open group's gateways of K / alpha, at one of K gates, holds it.
4. What the controller has not seen completely opens nothing.
5. A step follows the one before only once enough gateways of its group have confirmed that one,
   by number (`min_executed`) and by the share `needed` of those that are online; once the bundle
   has served there for `soak_s`; and, after a shadow, once enough of them show "no worse".
6. After the deadline nothing is opened: the rollout is held, with what it has waited for.

Offline is neither success nor failure: a gateway that is offline adds nothing to either side, only
a failure that it has reported stays one.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from models.rollout.plan import Plan
from models.rollout.stage import Stage
from server.rollouts.rules.confirmation import confirmation
from server.rollouts.rules.decision import Decision, gateways, listed, moment
from server.rollouts.rules.fleet import FleetView
from server.rollouts.rules.judged import log_mean, shown_by, stop_at
from server.rollouts.rules.standing import Standing, standings
from serving.gates.evidence import UNDECIDED

_GO_ON: Final = "sign a plan that supersedes this one, with accept = "
_ACCEPT: Final = {
    "direction": f'; a person says whether that is better: to go on, {_GO_ON}["direction"] in its '
    "gates",
    "rank": "; where the plant has changed, and the bundle has learned that, it is no fault: to go "
    f'on, {_GO_ON}["rank"] in its gates',
}
"""What a person may do about a gate that shows a difference which need not be a fault."""


def step(
    plan: Plan, stage: Stage, settled: datetime | None, view: FleetView, now: datetime
) -> Decision:
    """What a rollout does next.

    Args:
        plan: the plan, as signed.
        stage: the newest stage that was signed.
        settled: `Decision.settled` of the decision before, of the same stage; None at first.
        view: what the gateways have said.
        now: time of day.
    """
    if stage.state != "running":
        by = f" by {stage.by}" if stage.by else ""
        return Decision("rest", f"{stage.state}{by}: {stage.reason}")
    found = standings(plan, view)
    for index in sorted({one.group for one in plan.steps[: stage.stage]}):
        name, group = plan.groups[index].name, found[index]
        held = _failed(plan, name, group) or _worse(plan, name, group)
        if held is not None:
            return replace(held, settled=settled)
    if view.missing:
        next_ = Decision("wait", view.missing, gate="broker", until=plan.deadline, settled=settled)
    else:
        next_ = confirmation(plan, stage.stage, settled, found, now)
    return _overdue(plan, next_) if plan.is_over(now) else next_


def _failed(plan: Plan, group: str, standing: Sequence[Standing]) -> Decision | None:
    """Hold where more gateways of a group have failed than may."""
    failed = [one for one in standing if one.has_failed]
    if len(failed) <= plan.max_failed:
        return None
    words = listed([f"{one.gateway} ({_failure(one)})" for one in failed])
    return Decision(
        "hold",
        f"group {group}: {len(failed)} failed, allowed are {plan.max_failed}: {words}",
        gate="failed",
        gateways=tuple(one.gateway for one in failed),
        have=len(failed),
        need=plan.max_failed,
    )


def _failure(standing: Standing) -> str:
    if standing.state == "failed" or standing.evidence is None:
        return standing.said
    return standing.evidence.said


def _worse(plan: Plan, group: str, standing: Sequence[Standing]) -> Decision | None:
    """Hold where the gateways of a group together show that the bundle is worse, or different."""
    shown = {one.gateway: one.evidence for one in standing if one.takes_part and one.evidence}
    compared = {gateway: one for gateway, one in shown.items() if not one.fault}
    gates = {gate for one in compared.values() for gate in one.log_e}
    limit = stop_at(plan.gates, gates)
    # What is worse is told before what is only different.
    for gate in sorted(gates - {*plan.gates.accept}, key=lambda one: (one in UNDECIDED, one)):
        mean = log_mean([one.log_e.get(gate, 0.0) for one in compared.values()])
        if mean >= limit:
            at_worst = sorted(compared, key=lambda one: -compared[one].log_e.get(gate, 0.0))
            words = listed([f"{one}: {compared[one].said}" for one in at_worst])
            return Decision(
                "hold",
                f"group {group}: gate {gate} shows the bundle to be {shown_by(gate)}, log E "
                f"{mean:.3g} of {limit:.3g} over {gateways(len(compared))}"
                f"{_ACCEPT.get(gate, '')} ({words})",
                gate=gate,
                gateways=tuple(at_worst),
                have=mean,
                need=limit,
            )
    return None


def _overdue(plan: Plan, next_: Decision) -> Decision:
    waited = next_.reason if next_.action == "wait" else "all was fulfilled too late"
    reason = f"the deadline {moment(plan.deadline)} has passed: {waited}"
    return replace(next_, action="hold", gate="deadline", reason=reason, until=None)
