"""Answers of the bundle of a rollout and of the one that serves, for a drawing of both."""

from collections.abc import Sequence
from typing import Any, Final

from models.control.rollout import Evidence
from models.rollout.plan import Plan
from server.rollouts.rules.fleet import FleetView
from server.rollouts.rules.judged import DISAGREEMENT
from server.rollouts.rules.standing import Standing

MOST: Final = 3
"""Gateways of a group whose answers are told: a group may have thousands."""


def drawn(plan: Plan, group: Sequence[Standing], view: FleetView) -> list[dict[str, Any]]:
    """The answers on those gateways of a group whose two bundles disagree most.

    Args:
        plan: the plan.
        group: the gateways of one group.
        view: what gateways have said.
    """
    said = {one.gateway: view.member(one.gateway).evidence for one in group}
    shown = [
        (gateway, evidence)
        for gateway, evidence in said.items()
        if evidence is not None
        and evidence.rollout == plan.id
        and evidence.candidate == plan.seq
        and evidence.answers
    ]
    shown.sort(key=lambda one: (-_share(one[1]), one[0]))
    return [
        {
            "gateway": gateway,
            "champion": evidence.champion,
            "candidate": evidence.candidate,
            "answers": evidence.answers,
        }
        for gateway, evidence in shown[:MOST]
    ]


def _share(evidence: Evidence) -> float:
    """The share of blocks in which both disagree; above 1 where a hard gate has spoken."""
    gate = evidence.gates.get(DISAGREEMENT)
    blocks = 0 if gate is None else gate.hits + gate.misses
    share = 0.0 if gate is None else gate.hits / max(1, blocks)
    return share + bool(evidence.tripped)
