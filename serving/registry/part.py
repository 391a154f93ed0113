"""The part that a gateway takes in a rollout, and what it has to know of itself to learn it.

`serving.registry.rollouts` decides on it. Values without TUF and without pydantic, for the agent
and its child process exchange them.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

Role = Literal["former", "shadow", "serve", "pinned"]


@dataclass(frozen=True, slots=True)
class Situation:
    """What a gateway knows of itself when it asks for its part.

    Attributes:
        gateway: id of the gateway; empty for a program that is none.
        serves: number of the bundle that serves; None for none.
        changed_to: number of the bundle that a rollout has brought here last; None for none.
        former: number of the bundle that served before that one; None for none.
        held: identity of the rollout that is held by word of the broker; empty for none.
        held_epoch: of the stage that the broker has named; a later one that is signed counts.
        held_stage: as `held_epoch`.
    """

    gateway: str = ""
    serves: int | None = None
    changed_to: int | None = None
    former: int | None = None
    held: str = ""
    held_epoch: int = 0
    held_stage: int = 0


UNKNOWN: Final = Situation()
"""Of a program that is no gateway, and serves nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a rollout asks of this gateway.

    Attributes:
        rollout: identity of the rollout.
        epoch: of the newest stage that is signed; 0 before the first.
        stage: of the newest stage that is signed.
        state: of the newest stage that is signed.
        seq: number of the bundle of the plan.
        role: `serve` it, run it in the `shadow`, keep the `former` one, or take no part, `pinned`.
        group: name of the gateway's group; empty for none.
        reason: the reason in words.
        gates: the statistical gates of the plan.
    """

    rollout: str
    epoch: int
    stage: int
    state: Literal["running", "held", "reverted", "done"]
    seq: int
    role: Role
    group: str = ""
    reason: str = ""
    gates: dict[str, Any] = field(default_factory=dict)
