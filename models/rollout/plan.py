"""The plan of a rollout: which gateways get a bundle, in which order, and what may end it.

It is a file of the registry, signed with the key of its targets, so that a site that is updated by
a stick obeys the same plan, and whoever takes over a broker or a controller can only delay it.
"""

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from models.bundle.manifest import Name
from models.control.document import Seq

MAX_GROUPS: Final = 32
MAX_GATEWAYS: Final = 10_000
"""Most gateways that one group may name; a larger one is a share."""
MAX_SOAK_S: Final = 90 * 86_400.0
_ROUNDING: Final = 1e-9
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Mode = Literal["shadow", "serve"]


class Gates(BaseModel):
    """When a candidate is shown to be worse than what serves, and when no worse.

    Attributes:
        block_s: seconds of a block of time, of which each counts once; None takes the correlation
            time from the bundle's reference.
        disagreement: share of the windows on which the candidate may disagree with what serves.
        alpha: probability that a harmless candidate is stopped, over all gates and looks together.
        beta: probability that a candidate goes on that disagrees on more than it may.
        accept: gates that are counted, but hold nothing: `direction`, where whoever signs the plan
            wants a candidate whose alarms are more, or fewer, than those of what serves; `rank`,
            where the plant has changed, and the candidate has learned it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    block_s: Annotated[float, Field(gt=0, le=30 * 86_400)] | None = None
    disagreement: Share = 0.03
    alpha: Share = 0.01
    beta: Share = 0.01
    accept: Annotated[tuple[Literal["direction", "rank"], ...], Field(max_length=2)] = ()


class Group(BaseModel):
    """Gateways that change together: those that are named, or a share of the fleet.

    Attributes:
        name: name of the group.
        gateways: ids of the gateways; empty where the group is a share.
        share: share of all gateways, above 0 and at most 1; None where they are named. Which they
            are follows from their ids and that of the rollout, see `models.rollout.membership`.
        mode: `shadow` has the new bundle answer in the shadow of the former one first, and asks its
            gates before it serves; `serve` has it serve at once, on probation.
        soak_s: seconds for which the bundle has served in this group before the next is opened.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    gateways: Annotated[tuple[Name, ...], Field(max_length=MAX_GATEWAYS)] = ()
    share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    mode: Mode = "shadow"
    soak_s: Annotated[float, Field(ge=0, le=MAX_SOAK_S)] = 3600.0

    @model_validator(mode="after")
    def _has_members(self) -> Self:
        if bool(self.gateways) == (self.share is not None):
            raise ValueError(f"group '{self.name}' must have either gateways or a share")
        if len(set(self.gateways)) != len(self.gateways):
            raise ValueError(f"group '{self.name}' names a gateway twice")
        return self


class Step(BaseModel):
    """One step of a plan: what is opened to one group.

    Attributes:
        group: index of the group in the plan.
        mode: what its gateways do from this step on.
    """

    model_config = ConfigDict(frozen=True)

    group: int
    mode: Mode


class Plan(BaseModel):
    """The plan of a rollout.

    Attributes:
        schema_version: version of this format.
        id: identity of the rollout, unique in the registry.
        stream: stream whose bundle is changed.
        seq: number of the bundle that gateways change to.
        from_seqs: numbers of the bundles that gateways may change from; empty for any.
        groups: the groups, in the order in which they are opened.
        gates: when the bundle is shown to be worse, and when no worse.
        deadline: time after which nothing is opened any more; the rollout is held then.
        needed: share of the gateways of a group that are online which must serve the bundle before
            the next group is opened. Gateways that are offline are neither success nor failure.
        min_executed: gateways of a group that must serve it at least before the next is opened; a
            group of fewer gateways needs all of them.
        max_failed: gateways of a group that may fail before the rollout is held.
        supersedes: identity of the rollout of the stream that this one replaces; empty for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    id: Name
    stream: Name
    seq: Seq
    from_seqs: Annotated[tuple[Seq, ...], Field(max_length=1000)] = ()
    groups: Annotated[tuple[Group, ...], Field(min_length=1, max_length=MAX_GROUPS)]
    gates: Gates = Gates()
    deadline: AwareDatetime
    needed: Annotated[float, Field(gt=0, le=1)] = 0.95
    min_executed: Annotated[int, Field(ge=1, le=MAX_GATEWAYS)] = 1
    max_failed: Annotated[int, Field(ge=0, le=MAX_GATEWAYS)] = 0
    supersedes: Name | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is opened, one after the other. Stage `n` of a rollout has opened the first `n`."""
        return tuple(
            Step(group=index, mode=mode)
            for index, group in enumerate(self.groups)
            for mode in (("shadow", "serve") if group.mode == "shadow" else ("serve",))
        )

    def soak(self) -> timedelta:
        """How long the groups serve before the next is opened, all together."""
        return timedelta(seconds=sum(group.soak_s for group in self.groups))

    def is_over(self, at: datetime) -> bool:
        """Whether the deadline has passed."""
        return at >= self.deadline

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        names = [group.name for group in self.groups]
        if len(set(names)) != len(names):
            raise ValueError("two groups have the same name")
        named = [gateway for group in self.groups for gateway in group.gateways]
        if twice := sorted({one for one in named if named.count(one) > 1}):
            raise ValueError(f"gateway '{twice[0]}' is named in two groups")
        if sum(group.share or 0 for group in self.groups) > 1 + _ROUNDING:
            raise ValueError("the shares of the groups are more than 1 in all")
        if self.seq in self.from_seqs:
            raise ValueError(f"seq {self.seq} is also in from_seqs")
        if self.supersedes == self.id:
            raise ValueError("a rollout cannot supersede itself")
        return self
