"""What a stream does in a rollout: its part, what it has changed from, and what it says of it.

    <state_dir>/rollouts/<stream>.json    the last change, written before it is made

A word of the broker, the hint in `desired`, only brings the next look into the registry forward, or
keeps the gateway from a change where it says `held`. Neither needs a signature, for neither does
more than delay.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.bundle.manifest import Name
from models.control.document import MAX_MESSAGE
from models.control.rollout import RolloutHint, RolloutState
from models.errors import MillhandError
from models.files import write_atomically
from serving.incidents.quarantine import Quarantined
from serving.registry.part import Part, Situation

_FOLDER: Final = "rollouts"
_MAX_DOUBLINGS: Final = 16
_Seq = Annotated[int, Field(ge=1)]


class Change(BaseModel):
    """The last change of a stream that a rollout has asked for.

    Attributes:
        stream: name of the stream.
        rollout: identity of the rollout.
        seq: number of the bundle that it has brought.
        former: number of the bundle that served before; None where there was none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: Name
    rollout: Name
    seq: _Seq
    former: _Seq | None = None

    @classmethod
    def read(cls, state_dir: Path, stream: str) -> "Change | None":
        """The last change of a stream; None if there was none, or if the file is damaged."""
        try:
            content = (state_dir / _FOLDER / f"{stream}.json").read_bytes()
            return cls.model_validate_json(content)
        except (OSError, ValidationError):
            return None

    def write(self, state_dir: Path) -> None:
        """Replace the file of the stream.

        Raises:
            OSError: the disk is full or broken; the old file stands.
        """
        path = state_dir / _FOLDER / f"{self.stream}.json"
        write_atomically(path, self.model_dump_json(indent=1).encode())


@dataclass(slots=True)
class Participation:
    """What one stream does in rollouts. Touched by the hot thread only.

    Attributes:
        part: what the signed rollout asks for; None where there is none, or before it is known.
        change: the last change that a rollout has asked for.
        hint: the last word of the broker; None for none.
        refusal: why the bundle of the rollout was refused here; None if it was not.
        looked_s: monotonic seconds of the last look that a hint has brought forward.
        looks: looks for the present hint that have not found what it says.
        looked_held: whether the broker said at the last look that the rollout is held.
        serves: number of the bundle that served at the last tick.
        healthy_s: monotonic seconds from which on it has served for long enough.
        is_healthy: whether it has.
    """

    part: Part | None = None
    change: Change | None = None
    hint: RolloutHint | None = None
    refusal: MillhandError | None = None
    looked_s: float = -inf
    looks: int = 0
    looked_held: bool = False
    serves: int | None = None
    healthy_s: float = field(default=inf)
    is_healthy: bool = False

    @property
    def is_behind(self) -> bool:
        """Whether the broker says that there is more than this gateway has seen signed."""
        hint, part = self.hint, self.part
        if hint is None or part is None or hint.id != part.rollout:
            return hint is not None
        return hint.epoch > part.epoch or hint.stage > part.stage

    @property
    def needs_look(self) -> bool:
        """Whether the registry is to be looked into before the next poll."""
        return self.is_behind or (self.looked_held and not self._is_held)

    def heed(self, hint: RolloutHint | None) -> bool:
        """Take a word of the broker; returns whether to look into the registry for it."""
        if hint == self.hint:
            return False
        self.hint, self.looks = hint, 0
        return self.needs_look

    def next_look_s(self, now_s: float, hint_s: float) -> float:
        """Monotonic seconds at which a hint may have the registry looked into.

        Args:
            now_s: monotonic seconds now.
            hint_s: seconds between two looks, which double while a hint is not found to be true.
        """
        return max(now_s, self.looked_s + hint_s * 2.0 ** min(self.looks, _MAX_DOUBLINGS))

    def look(self, now_s: float) -> None:
        """Note that the registry is looked into now."""
        if self.needs_look:
            self.looked_s, self.looks = now_s, self.looks + 1
        self.looked_held = self._is_held

    def situation(self, gateway: str, serves: int | None) -> Situation:
        """What this gateway knows of itself.

        Args:
            gateway: id of the gateway.
            serves: number of the bundle that serves; None for none.
        """
        change, hint, held = self.change, self.hint, self._is_held
        return Situation(
            gateway=gateway,
            serves=serves,
            changed_to=change.seq if change is not None else None,
            former=change.former if change is not None else None,
            held=hint.id if held and hint is not None else "",
            held_epoch=hint.epoch if held and hint is not None else 0,
            held_stage=hint.stage if held and hint is not None else 0,
        )

    def forbids(self, seq: int, serves: int | None) -> bool:
        """Whether the broker has said in the meantime that nobody changes to this bundle."""
        hint, part = self.hint, self.part
        if hint is None or part is None or part.role != "serve" or hint.id != part.rollout:
            return False
        is_old = hint.epoch < part.epoch or hint.stage < part.stage
        return hint.state == "held" and not is_old and seq == part.seq != serves

    def take(self, part: Part | None, change: Change | None) -> bool:
        """Take what the signed rollout asks for; returns whether that is something new."""
        is_new = part != self.part
        self.part, self.change = part, change
        if is_new:
            self.refusal = None
        return is_new

    def tick(self, serves: int | None, now_s: float, healthy_s: float) -> bool:
        """Note what serves; returns whether a bundle has served for long enough just now.

        Args:
            serves: number of the bundle; None for none.
            now_s: monotonic seconds.
            healthy_s: seconds for which a bundle is on probation.
        """
        if serves != self.serves:
            self.serves, self.healthy_s, self.is_healthy = serves, now_s + healthy_s, False
        if self.is_healthy or now_s < self.healthy_s:
            return False
        self.is_healthy = True
        return self.part is not None and self.part.seq == serves

    def shown(self, serves: int | None, quarantined: Iterable[Quarantined]) -> RolloutState | None:
        """What `current` says of it; None for nothing.

        Args:
            serves: number of the bundle that serves; None for none.
            quarantined: the stream's bundles in quarantine.
        """
        part = self.part
        if part is None:
            return None
        change = self.change
        mine = change is not None and change.rollout == part.rollout
        failed = next((one for one in quarantined if one.seq == part.seq), None)
        fields: dict[str, Any] = {"state": self._state(part, serves), "message": part.reason}
        if part.role != "pinned" and failed is not None and serves != part.seq:
            fields = {"state": "failed", "gate": failed.code, "message": failed.message}
        elif self.refusal is not None and serves != part.seq:
            refusal = self.refusal
            fields = {"state": "failed", "gate": refusal.code, "message": str(refusal)}
        fields["message"] = fields["message"][:MAX_MESSAGE]
        return RolloutState.model_construct(
            id=part.rollout,
            epoch=part.epoch,
            stage=part.stage,
            group=part.group,
            former=change.former if mine and change is not None else None,
            **fields,
        )

    @property
    def _is_held(self) -> bool:
        return self.hint is not None and self.hint.state == "held"

    def _state(self, part: Part, serves: int | None) -> str:
        is_there = serves == part.seq or (part.state == "done" and (serves or 0) > part.seq)
        if part.role == "pinned":
            return "pinned"
        if is_there:
            return "serving" if self.is_healthy and self.serves == serves else "probation"
        if part.state == "reverted":
            return "returned"
        return "shadow" if part.role == "shadow" else "waiting"
