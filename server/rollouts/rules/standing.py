"""How each gateway stands in a rollout: what it has confirmed, by what it has said itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from models.control.documents import Current
from models.control.rollout import RolloutState
from models.rollout.membership import group_of
from models.rollout.plan import Plan
from server.rollouts.rules.fleet import FleetView, Member
from server.rollouts.rules.judged import Judged, judged

State = Literal[
    "unheard", "pinned", "apart", "waiting", "shadow", "probation", "serving", "failed", "returned"
]
APART: Final = frozenset({"unheard", "pinned", "apart"})
"""States of gateways that take no part."""
_ITS_OWN: Final = frozenset({"pinned", "failed"})
"""States by which a gateway has left the rollout, whatever it serves."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one gateway stands.

    Attributes:
        gateway: id of the gateway.
        group: index of its group in the plan; None for none.
        state: as `models.control.rollout.RolloutState`, once `current` confirms it; also `unheard`
            where the gateway has never said what it runs, and `apart` where the plan does not begin
            from the bundle that it serves.
        is_online: whether it is online. Offline is neither success nor failure.
        seq: number of the bundle that serves; None for none.
        former: number of the bundle that served before; None where none is known.
        said: the state in words.
        evidence: what its gates show; None where there is no evidence.
    """

    gateway: str
    group: int | None
    state: State
    is_online: bool
    seq: int | None
    former: int | None
    said: str
    evidence: Judged | None

    @property
    def takes_part(self) -> bool:
        """Whether the gateway counts in its group."""
        return self.state not in APART

    @property
    def has_failed(self) -> bool:
        """Whether it has failed, or a hard gate has ended its comparison."""
        return self.takes_part and (
            self.state == "failed" or bool(self.evidence and self.evidence.tripped)
        )


def standings(plan: Plan, view: FleetView) -> Mapping[int | None, Sequence[Standing]]:
    """How all gateways stand, by the index of their group; those in no group under None."""
    named = {gateway for group in plan.groups for gateway in group.gateways}
    found: dict[int | None, list[Standing]] = {index: [] for index in range(len(plan.groups))}
    found[None] = []
    for gateway in sorted({*named, *view.members}):
        member = view.member(gateway)
        if member.current is None and gateway not in named:
            continue  # it does not have the stream
        index = group_of(plan, gateway)
        found[index].append(_standing(plan, index, member))
    return found


def _standing(plan: Plan, index: int | None, member: Member) -> Standing:
    current, shown = member.current, member.evidence
    ours = current.rollout if current is not None and current.rollout is not None else None
    former = ours.former if ours is not None and ours.id == plan.id else None
    state, said = _state(plan, current)
    return Standing(
        gateway=member.gateway,
        group=index,
        state=state,
        is_online=member.is_online,
        seq=current.seq if current is not None else None,
        former=former,
        said=said,
        evidence=judged(plan, shown) if shown is not None and shown.rollout == plan.id else None,
    )


def _state(plan: Plan, current: Current | None) -> tuple[State, str]:
    """What a gateway has confirmed, and the same in words."""
    if current is None:
        return "unheard", f"has never said what it runs of {plan.stream}"
    said = current.rollout
    if said is not None and said.id != plan.id:
        said = None
    is_apart = bool(plan.from_seqs) and current.seq not in (*plan.from_seqs, plan.seq)
    if said is not None and said.state in _ITS_OWN:
        return _ended(said)
    if is_apart:
        return "apart", f"serves seq {current.seq}, from which the plan does not begin"
    if said is None:
        return "waiting", "has not said that it knows the rollout"
    return _under_way(plan, current, said)


def _ended(said: RolloutState) -> tuple[State, str]:
    if said.state == "pinned":
        return "pinned", said.message or "a person has chosen a bundle there"
    gate = f"gate {said.gate}" if said.gate else "failed"
    return "failed", f"{gate}: {said.message}" if said.message else gate


def _under_way(plan: Plan, current: Current, said: RolloutState) -> tuple[State, str]:
    if current.seq == plan.seq and current.state == "degraded":
        return "failed", f"is degraded: {current.message or current.reason}"
    if said.state not in {"serving", "probation"}:
        return said.state, said.message
    if current.seq != plan.seq or current.state != "serving":
        return "waiting", f"says that it serves, but runs seq {current.seq} ({current.state})"
    return said.state, said.message or f"serves seq {plan.seq}"
