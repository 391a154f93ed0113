"""Whether the step that is open was confirmed, so that the next may be opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Final, Literal

from models.rollout.plan import Group, Plan
from server.rollouts.rules.decision import Decision, gateways, listed, moment
from server.rollouts.rules.standing import Standing

_ROUNDING: Final = 1e-9
_WANTED: Final = {
    "shadow": "compare the bundle",
    "evidence": "show it to be no worse",
    "serving": "serve it",
}
"""What gateways must do, in words."""


def confirmation(
    plan: Plan,
    stage: int,
    settled: datetime | None,
    found: Mapping[int | None, Sequence[Standing]],
    now: datetime,
) -> Decision:
    """Open the next step, say that all is done, or wait for something.

    Args:
        plan: the plan.
        stage: steps that are open.
        settled: since when enough gateways of the open group serve; None while they do not.
        found: how the gateways stand, by the index of their group.
        now: time of day.
    """
    opened = plan.steps[max(0, stage - 1)]
    group = _Group(plan, plan.groups[opened.group], found[opened.group])
    if not group.members:
        return group.nobody()
    if stage == 0:
        return Decision("open", f"group {group.group.name} has {gateways(len(group.members))}")
    decision = group.compared() if opened.mode == "shadow" else group.served(settled, now)
    is_last = stage == len(plan.steps)
    return replace(decision, action="done") if decision.action == "open" and is_last else decision


def least(plan: Plan, members: int, online: int) -> int:
    """Gateways that are needed of a group.

    Args:
        plan: the plan, which says how many of all and which share of those online.
        members: gateways of the group that take part.
        online: those of them that are online.
    """
    by_share = ceil(plan.needed * online - _ROUNDING)
    return max(min(plan.min_executed, members), by_share)


@dataclass(frozen=True, slots=True)
class _Group:
    """The group whose step is open.

    Attributes:
        plan: the plan.
        group: the group.
        standing: how its gateways stand.
    """

    plan: Plan
    group: Group
    standing: Sequence[Standing]

    @property
    def members(self) -> list[Standing]:
        """The gateways that take part."""
        return [one for one in self.standing if one.takes_part]

    @property
    def online(self) -> list[Standing]:
        """Those of them that are online."""
        return [one for one in self.members if one.is_online]

    def nobody(self) -> Decision:
        """Wait where nobody takes part: what nobody has shown is not shown."""
        words = listed([f"{one.gateway} {one.said}" for one in self.standing])
        return Decision(
            "wait",
            f"group {self.group.name} has no gateway that takes part{': ' if words else ''}{words}",
            gate="nobody",
            gateways=tuple(one.gateway for one in self.standing),
            have=0,
            need=1,
            until=self.plan.deadline,
        )

    def compared(self) -> Decision:
        """Whether enough gateways compare, and show that the bundle is no worse."""
        compared = [one for one in self.online if one.state == "shadow"]
        need = least(self.plan, len(self.members), len(self.online))
        if len(compared) < need:
            return self._wait("shadow", compared, need)
        shown = [one for one in compared if one.evidence is not None and one.evidence.is_no_worse]
        need = least(self.plan, len(self.members), len(compared))
        if len(shown) < need:
            return self._wait("evidence", shown, need)
        said = f"group {self.group.name}: shown to be no worse by {gateways(len(shown))}"
        return Decision("open", said, have=len(shown), need=need)

    def served(self, settled: datetime | None, now: datetime) -> Decision:
        """Whether enough gateways serve, for long enough."""
        serving = [one for one in self.members if one.state == "serving"]
        served = [one for one in serving if one.is_online]
        need = least(self.plan, len(self.members), len(self.online))
        if len(served) < need:
            # Who serves, and is away, interrupts no soak: offline is no failure.
            kept = settled if len(serving) >= need else None
            return replace(self._wait("serving", served, need), settled=kept)
        settled = settled or now
        over = settled + timedelta(seconds=self.group.soak_s)
        name, count = self.group.name, gateways(len(served))
        said = f"group {name}: served by {count} since {moment(settled)}"
        if now >= over:
            return Decision("open", said, have=len(served), need=need, settled=settled)
        return Decision(
            "wait",
            f"{said}, and shall until {moment(over)}",
            gate="soak",
            have=(now - settled).total_seconds(),
            need=self.group.soak_s,
            until=min(over, self.plan.deadline),
            settled=settled,
        )

    def _wait(
        self, what: Literal["shadow", "evidence", "serving"], done: list[Standing], need: int
    ) -> Decision:
        missing = [one for one in self.members if one not in done]
        words = listed([f"{one.gateway} ({_lack(one, what)})" for one in missing])
        return Decision(
            "wait",
            f"group {self.group.name}: {len(done)} of {gateways(need)} {_WANTED[what]}; "
            f"missing: {words}",
            gate="evidence" if what == "evidence" else "confirmed",
            gateways=tuple(one.gateway for one in missing),
            have=len(done),
            need=need,
            until=self.plan.deadline,
        )


def _lack(standing: Standing, what: str) -> str:
    """What a gateway has not shown."""
    if not standing.is_online:
        return "offline"
    if what == "evidence" and standing.state == "shadow":
        return standing.evidence.said if standing.evidence else "no evidence yet"
    return f"{standing.state}: {standing.said}" if standing.said else standing.state
