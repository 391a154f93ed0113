"""The states of a proposal, and which may follow which.

    proposed -> accepted -> training -> trained -> publishing -> published
       |           |           |           |           |
    declined    declined     failed     declined    trained (again, with what was wrong)
    expired                  accepted   expired
                                        published (by a person)

A state is a line of the ledger: `what` is "retrains", and `by` says who or what has decided it.
From `published` on, the lines of the rollout go on under the same identity.
"""

from collections.abc import Mapping
from typing import Final, Literal

State = Literal[
    "proposed",
    "declined",
    "expired",
    "accepted",
    "training",
    "failed",
    "trained",
    "publishing",
    "published",
]
NEXT: Final[Mapping[State, frozenset[State]]] = {
    "proposed": frozenset({"accepted", "declined", "expired"}),
    "accepted": frozenset({"training", "declined", "failed"}),
    "training": frozenset({"trained", "failed", "accepted"}),
    "trained": frozenset({"publishing", "published", "declined", "expired"}),
    "publishing": frozenset({"published", "trained"}),
    "declined": frozenset(),
    "expired": frozenset(),
    "failed": frozenset(),
    "published": frozenset(),
}
OPEN: Final = frozenset(state for state, after in NEXT.items() if after)
"""States in which a proposal is not over; a stream has one such proposal at most."""
WISHES: Final[Mapping[str, State]] = {"accept": "accepted", "decline": "declined"}
"""What a person may decide, and the state that it leads to."""


def sources(state: State) -> str:
    """The states from which another one may be reached, in words."""
    return " or ".join(one for one, after in NEXT.items() if state in after)
