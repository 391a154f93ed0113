"""What the gateways of one stream have said, as a decision about a rollout needs it."""

from dataclasses import dataclass, field

from models.control.documents import Current, Desired
from models.control.rollout import Evidence


@dataclass(frozen=True, slots=True)
class Member:
    """One gateway, by its retained documents.

    Attributes:
        gateway: id of the gateway.
        is_online: whether its `status` says so.
        current: what it runs of the stream; None where it has never said.
        evidence: what its gates have seen; None where it has never said.
        desired: what it was asked for, as the broker retains it; None for nothing.
    """

    gateway: str
    is_online: bool = False
    current: Current | None = None
    evidence: Evidence | None = None
    desired: Desired | None = None


@dataclass(frozen=True, slots=True)
class FleetView:
    """All gateways that have said something of a stream.

    Attributes:
        members: the gateways by id.
        missing: why this is not all that there is, such as a lost connection; empty if it is. What
            is not complete decides nothing, because a failure may be among what is missing.
    """

    members: dict[str, Member] = field(default_factory=dict)
    missing: str = ""

    def member(self, gateway: str) -> Member:
        """A gateway, which may never have said anything."""
        return self.members.get(gateway, Member(gateway))
