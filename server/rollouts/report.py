"""A rollout as people are told of it: plan, stage, groups with gateways, and the ledger."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from server.rollouts.controller import Followed
from server.rollouts.drawn import drawn
from server.rollouts.ledger import Line
from server.rollouts.rules.decision import Decision
from server.rollouts.rules.fleet import FleetView
from server.rollouts.rules.standing import Standing, standings
from serving.publishing.rollouts import Rollout

MAX_LINES: Final = 200
"""Lines of the ledger that are told, the newest."""


def summary(rollout: Rollout, followed: Followed | None) -> dict[str, Any]:
    """A rollout in a line.

    Args:
        rollout: plan and stage.
        followed: what the controller has decided; None where it has not.
    """
    stage = rollout.stage
    return {
        "id": rollout.plan.id,
        "stream": rollout.plan.stream,
        "seq": rollout.plan.seq,
        "state": stage.state if stage is not None else "planned",
        "epoch": stage.epoch if stage is not None else None,
        "stage": stage.stage if stage is not None else 0,
        "steps": len(rollout.plan.steps),
        "reason": stage.reason if stage is not None else "it was not started yet",
        "by": stage.by if stage is not None else "",
        "time": stage.time.isoformat() if stage is not None else None,
        "deadline": rollout.plan.deadline.isoformat(),
        "decision": _decision(followed.decision) if followed and followed.decision else None,
        "trouble": followed.trouble if followed is not None else "",
    }


def described(
    rollout: Rollout, followed: Followed | None, view: FleetView, lines: Sequence[Line]
) -> dict[str, Any]:
    """A whole rollout.

    Args:
        rollout: plan and stage.
        followed: what the controller has decided; None where it has not.
        view: what gateways have said.
        lines: lines of the ledger, the newest first.
    """
    found = standings(rollout.plan, view)
    return {
        **summary(rollout, followed),
        "missing": view.missing,
        "plan": rollout.plan.model_dump(mode="json"),
        "groups": _groups(rollout, found, view),
        "others": [_gateway(one) for one in found[None]],
        "ledger": [asdict(one) for one in lines[:MAX_LINES]],
    }


def _groups(
    rollout: Rollout, found: Mapping[int | None, Sequence[Standing]], view: FleetView
) -> list[dict[str, Any]]:
    plan, stage = rollout.plan, rollout.stage
    opened = plan.steps[: stage.stage] if stage is not None else ()
    modes = {step.group: step.mode for step in opened}
    return [
        {
            "name": group.name,
            "mode": group.mode,
            "soak_s": group.soak_s,
            "open": modes.get(index),
            "counts": dict(Counter(one.state for one in found[index])),
            "online": sum(one.is_online for one in found[index]),
            "gateways": [_gateway(one) for one in found[index]],
            "answers": drawn(rollout.plan, found[index], view),
        }
        for index, group in enumerate(plan.groups)
    ]


def _gateway(one: Standing) -> dict[str, Any]:
    shown = one.evidence
    return {
        "gateway": one.gateway,
        "online": one.is_online,
        "state": one.state,
        "seq": one.seq,
        "former": one.former,
        "said": one.said,
        "failed": one.has_failed,
        "evidence": shown.said if shown is not None else "",
        "no_worse": shown.is_no_worse if shown is not None else False,
        "log_e": dict(shown.log_e) if shown is not None else {},
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "action": decision.action,
        "reason": decision.reason,
        "gate": decision.gate,
        "gateways": list(decision.gateways),
        "have": decision.have,
        "need": decision.need,
        "until": decision.until.isoformat() if decision.until else None,
    }
