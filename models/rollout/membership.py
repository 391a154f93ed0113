"""Which group of a plan a gateway belongs to."""

import hashlib
from typing import Final

from models.rollout.plan import Plan

_BYTES: Final = 8


def place(rollout: str, gateway: str) -> float:
    """Place of a gateway among all of a rollout, at least 0 and below 1.

    It is the first 64 bits of the SHA-256 of both ids, so that gateways, controller and a person
    with a calculator find the same, and each rollout begins with other gateways.

    Args:
        rollout: identity of the rollout.
        gateway: id of the gateway.
    """
    digest = hashlib.sha256(f"{rollout}/{gateway}".encode()).digest()
    return (int.from_bytes(digest[:_BYTES], "big") >> 11) / (1 << 53)


def group_of(plan: Plan, gateway: str) -> int | None:
    """Index of the group that a gateway belongs to; None if it belongs to none.

    A gateway that is named belongs to the group that names it. Any other belongs to a share: the
    shares of a plan lie one after the other on the places from 0 to 1.
    """
    for index, group in enumerate(plan.groups):
        if gateway in group.gateways:
            return index
    at, end = place(plan.id, gateway), 0.0
    last = None
    for index, group in enumerate(plan.groups):
        if group.share is not None:
            end, last = end + group.share, index
            if at < end:
                return index
    # Shares such as 0.1 + 0.2 + 0.7 may add up to a little less than 1.
    return last if last is not None and end > 1 - 1e-9 else None
