"""How far a rollout is: a small file of the registry, signed with its online key."""

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.bundle.manifest import Name

MAX_REASON: Final = 500
Number = Annotated[int, Field(strict=True, ge=0, le=2**53 - 1)]


class Stage(BaseModel):
    """How far a rollout is.

    A later stage has a higher `epoch` or a higher `stage`, and neither is ever lower; so of two
    controllers only the one with the higher epoch is heard.

    Attributes:
        schema_version: version of this format.
        rollout: identity of the rollout.
        stream: stream of the rollout.
        epoch: rises with every controller that takes over, and with every decision of a person.
        stage: steps of the plan that are open; 0 for none.
        state: `running`; `held` while no further gateway changes to the bundle; `reverted` where
            all go back to what each of them served before; `done`.
        reason: why, in words.
        by: who or what has decided it.
        time: when it was decided.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    rollout: Name
    stream: Name
    epoch: Number
    stage: Number = 0
    state: Literal["running", "held", "reverted", "done"] = "running"
    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""
    by: Annotated[str, Field(max_length=128)] = ""
    time: AwareDatetime

    def follows(self, known: "Stage | None") -> bool:
        """Whether to obey this; `known` is the newest stage that was obeyed before."""
        if known is None or known.rollout != self.rollout:
            return True
        is_lower = self.epoch < known.epoch or self.stage < known.stage
        return not is_lower and (self.epoch, self.stage) != (known.epoch, known.stage)
