"""The rollout of a stream as the registry has signed it: its plan, and how far it is.

The plan is a file of the list of bundles, the stage one of the delegated role `stages`; python-tuf
verifies the delegation (TUF specification, 4.5 and 5.6.7). So the online key, which signs stages,
can sign no plan: a plan that another role lists is not looked for.

What a gateway does, for a stream that follows the newest bundle while its last rollout is not done:

- `serve` selects the bundle of the plan, also where it is older than one that has served here: the
  publisher has signed that.
- `former` and `shadow` keep what serves. A rollout that was reverted brings back what the gateway
  has served before it, by its own record; so does the next rollout, for a gateway that was away.
- A gateway that serves nothing, or what may not run any more, takes the newest bundle before that
  of the plan which no rollout has brought back.
- A bundle that has failed here is not tried again: the gateway keeps what serves.

A gateway on which a person has selected a bundle takes no part. One without an id, such as a
server, belongs to no group.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from models.errors import DigestMismatchError
from models.files import write_atomically
from models.rollout.assignment import Assignment, assigned
from models.rollout.files import (
    MAX_PLAN_BYTES,
    MAX_STAGE_BYTES,
    plan_target,
    planned,
    stage_target,
    stored_as,
)
from models.rollout.plan import Plan
from models.rollout.stage import Stage
from serving.registry.catalogue import Here, SignedFile, Target, may_run, select
from serving.registry.high_water_mark import HighWaterMark, Obeyed
from serving.registry.part import Part, Role, Situation
from serving.registry.refusals import MetadataError, OversizedError, WrongStreamError

if TYPE_CHECKING:
    from serving.registry.fetch import Fetcher

D = TypeVar("D", bound=BaseModel)
_FOLDER: Final = "rollouts"
_MAX_WORDS: Final = 300


@dataclass(frozen=True, slots=True)
class SignedRollout:
    """The last rollout of a stream.

    Attributes:
        plan: its plan.
        stage: its newest stage; None before the first.
        reverted: numbers of bundles that earlier rollouts of the stream have brought back.
    """

    plan: Plan
    stage: Stage | None
    reverted: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class RolloutReader:
    """Reads rollouts from a registry whose metadata was verified.

    Attributes:
        files: all target files that the publisher has signed.
        find: finds a target file by its path, in delegated roles as well; None for none.
        url: address of the folder targets/.
        fetcher: fetcher that reads the files of the registry.
        cache: folder in which files are kept, so that each is fetched once.
        high_water_mark: path of trust.json.
    """

    files: Iterable[SignedFile]
    find: Callable[[str], SignedFile | None]
    url: str
    fetcher: "Fetcher"
    cache: Path
    high_water_mark: Path

    def read(self, stream: str) -> SignedRollout | None:
        """The rollout of a stream; None if none was ever planned. It is remembered as obeyed.

        Raises:
            UntrustedBundleError, DigestMismatchError: it is refused; the class names the attack.
            TransientError: the registry cannot be used now.
            OSError: the disk cannot be used.
        """
        found = [(name, one) for one in self.files if (name := planned(one.path)) is not None]
        plans = [(rollout, one) for (of, rollout), one in found if of == stream]
        if not plans:
            return None
        if len(plans) > 1:
            raise MetadataError(f"two plans of rollouts are signed for {stream}")
        ((rollout, file),) = plans
        plan = self._document(Plan, file, MAX_PLAN_BYTES, f"{stream}.plan")
        if (plan.stream, plan.id) != (stream, rollout):
            raise WrongStreamError(
                f"{file.path} is the plan of {plan_target(plan.stream, plan.id)}"
            )
        return SignedRollout(plan, self._stage(plan), _reverted(file))

    def _stage(self, plan: Plan) -> Stage | None:
        name = stage_target(plan.stream, plan.id)
        file = self.find(name)
        stage = None
        if file is not None:
            stage = self._document(Stage, file, MAX_STAGE_BYTES, f"{plan.stream}.stage")
            if stage_target(stage.stream, stage.rollout) != name:
                raise WrongStreamError(
                    f"{name} is the stage of {stage_target(stage.stream, stage.rollout)}"
                )
            if stage.stage > len(plan.steps):
                raise MetadataError(f"{name} opens {stage.stage} of {len(plan.steps)} steps")
        mark = HighWaterMark.read(self.high_water_mark)
        obeyed = None
        if stage is not None and file is not None:
            obeyed = Obeyed(plan.id, stage.epoch, stage.stage, str(file.sha256))
        raised = mark.obeying(plan.stream, plan.id, obeyed)
        if raised is not mark:
            raised.write(self.high_water_mark)
        return stage

    def _document(self, kind: type[D], file: SignedFile, most: int, name: str) -> D:
        """The content of a signed file, from the cache where it is the same."""
        if file.length > most:
            raise OversizedError(f"{file.path} has {file.length} bytes, allowed are {most}")
        cached = self.cache / _FOLDER / f"{name}.json"
        content = b""
        with suppress(OSError):
            content = cached.read_bytes()
        if not _is(file, content):
            url = f"{self.url}/{stored_as(file.path, str(file.sha256))}"
            content = self.fetcher.read(url, file.length + 1)
            if not _is(file, content):
                raise DigestMismatchError(f"{file.path} has other bytes than were signed")
            write_atomically(cached, content)
        try:
            return kind.model_validate_json(content)
        except ValidationError as exc:
            raise MetadataError(f"{file.path} cannot be used: {_words(exc)}") from exc


def part_of(signed: SignedRollout, situation: Situation, *, is_pinned: bool) -> Part:
    """The part of a gateway in a rollout.

    Args:
        signed: the rollout.
        situation: what the gateway knows of itself.
        is_pinned: whether a person has selected a bundle here.
    """
    plan = signed.plan
    stage = signed.stage or Stage(rollout=plan.id, stream=plan.stream, epoch=0, time=plan.deadline)
    found = _assigned(plan, stage, situation)
    role: Role = "pinned" if is_pinned else found.part
    return Part(
        plan.id,
        stage.epoch,
        stage.stage,
        stage.state,
        plan.seq,
        role,
        found.group,
        "a person has selected a bundle here" if is_pinned else found.reason,
        plan.gates.model_dump(mode="json"),
    )


def select_for(
    files: Sequence[SignedFile],
    signed: SignedRollout,
    part: Part,
    situation: Situation,
    here: Here,
) -> Target:
    """The bundle that is to serve on a gateway that takes part in a rollout.

    Args:
        files: all target files that are signed.
        signed: the rollout.
        part: what it asks of the gateway.
        situation: what the gateway knows of itself.
        here: what the gateway allows.

    Raises:
        UntrustedBundleError: see `serving.registry.catalogue.select`.
    """
    stream, serves = signed.plan.stream, situation.serves
    if part.state == "done":
        return select(files, stream, None, here)
    by_plan = replace(here, has_run=frozenset())
    allowed = may_run(files, stream)
    if part.role == "serve" and not _has_failed(files, stream, part.seq, here):
        return select(files, stream, part.seq, by_plan)
    goes_back = serves in signed.reverted or (part.state == "reverted" and serves == part.seq)
    if goes_back and situation.changed_to == serves and situation.former is not None:
        return select(files, stream, situation.former, by_plan)
    if serves in allowed and not goes_back and not _has_failed(files, stream, serves, here):
        return select(files, stream, serves, by_plan)
    passed_over = {seq for seq in allowed if seq >= part.seq} | signed.reverted
    return select(files, stream, None, replace(here, passed_over=passed_over))


def _is(file: SignedFile, content: bytes) -> bool:
    digest = hashlib.sha256(content).hexdigest()
    return len(content) == file.length and digest == file.sha256


def _reverted(file: SignedFile) -> frozenset[int]:
    custom: Any = file.description if isinstance(file.description, dict) else {}
    found = custom.get("reverted", [])
    if not isinstance(found, list) or any(type(seq) is not int for seq in found):
        raise MetadataError(f"{file.path}: reverted must be a list of whole numbers")
    return frozenset(found)


def _words(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "the document"
    return f"{where}: {first['msg']}"[:_MAX_WORDS]


def _assigned(plan: Plan, stage: Stage, situation: Situation) -> Assignment:
    is_old = situation.held_epoch < stage.epoch or situation.held_stage < stage.stage
    if situation.held == plan.id and stage.state == "running" and not is_old:
        stage = stage.model_copy(update={"state": "held", "reason": "by word of the broker"})
    if not situation.gateway and stage.state not in ("done", "reverted"):
        return Assignment("former", "", f"rollout {plan.id} is not for programs without an id")
    return assigned(plan, stage, situation.gateway, serves=situation.serves)


def _has_failed(files: Sequence[SignedFile], stream: str, seq: int | None, here: Here) -> bool:
    """Whether the bundle is in quarantine on this gateway."""
    return any(
        file.sha256 in here.quarantined and file.path.startswith(f"bundles/{stream}/{seq}/")
        for file in files
    )
