"""Rollouts in the registry: plans, signed with the key of the bundles, and stages, signed online.

    targets/rollouts/<stream>/<sha256>.<rollout>.json    the plan     the publisher's keys
    targets/stages/<stream>/<sha256>.<rollout>.json      its stage    the online key

The list of bundles has one plan a stream, the last one. It stays there when its rollout has ended,
because gateways that were away have to learn how. docs/adr/0065-rollouts-in-the-registry.md has the
reasons.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import TargetFile, Targets

from models.bundle.package import Bundle
from models.files import write_atomically
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
from serving.publishing import delegation
from serving.publishing.change import changing, for_targets, record, sign_targets
from serving.publishing.documents import content_of
from serving.publishing.keys import Keys, KeysError
from serving.publishing.publication import Publication
from serving.publishing.releases import (
    DEFAULT_VALIDITY,
    RegistryError,
    Release,
    Validity,
    check_new,
    find,
)

MAX_REVERTED: Final = 100
"""Most bundles of a stream that a plan says were brought back by earlier rollouts."""
KEPT_STAGES: Final = 10
"""Files of stages of a rollout that are kept for gateways in the middle of a refresh."""
D = TypeVar("D", Plan, Stage)
_OVER: Final = ("done", "reverted")


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout as the registry has it.

    Attributes:
        plan: its plan.
        stage: its newest stage; None before the first.
        missing: number of signatures that are still missing before gateways see the plan.
    """

    plan: Plan
    stage: Stage | None = None
    missing: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it is done or reverted."""
        return self.stage is not None and self.stage.state in _OVER


def publish_plan(
    directory: Path,
    plan: Plan,
    keys: Keys,
    *,
    bundle: Bundle | None = None,
    validity: Validity = DEFAULT_VALIDITY,
) -> Rollout:
    """Sign the plan of a rollout, and put it into the registry in place of the stream's last one.

    A bundle that is published before its plan may be taken by gateways that follow the newest one.
    Given along with the plan, it is signed with it at once.

    Args:
        directory: the registry's folder.
        plan: the plan.
        keys: a folder with a targets key; and with the online key, if no other must sign.
        bundle: the bundle of the plan, if it is not published yet.
        validity: how long the signatures are valid.

    Raises:
        RegistryError: the plan cannot be meant, its id has been used, another rollout of the stream
            is under way, or see `serving.publishing.repository.publish`.
        KeysError: a key is missing.
    """
    content = _written(plan, MAX_PLAN_BYTES)
    with changing(directory, keys):
        publication = for_targets(directory, keys, validity)
        former = _rollout(publication, plan.stream)
        if former is not None and former.plan == plan and bundle is None:
            return former
        release = Release.from_bundle(bundle, None) if bundle is not None else None
        if release is not None:
            check_new(release, publication.releases(plan.stream))
        _check_plan(plan, publication, former, release)
        _check_id(directory, plan)
        record(publication, "plan", rollout=plan.id, stream=plan.stream, seq=plan.seq)
        if bundle is not None and release is not None:
            path = directory / "targets" / release.path
            write_atomically(path, bundle.content, below=directory)
            publication.put(release)
        targets = publication.targets.signed
        reverted = _reverted(publication, former)
        if former is not None:
            del targets.targets[plan_target(plan.stream, former.plan.id)]
        _put(targets, directory, plan_target(plan.stream, plan.id), content, {"reverted": reverted})
        publication.delegate(delegation.ROLE)
        return Rollout(plan, missing=sign_targets(publication))


def write_stage(
    directory: Path, keys: Keys, stage: Stage, *, validity: Validity = DEFAULT_VALIDITY
) -> None:
    """Sign how far a rollout is, and publish it; the online key is enough.

    It may be killed at any point: gateways see the former stage or the new one. To write the newest
    stage once more changes nothing.

    Args:
        directory: the registry's folder.
        keys: a folder with the online key.
        stage: the stage.
        validity: how long the signatures are valid.

    Raises:
        RegistryError: the stream has no plan of this rollout, the plan has fewer steps, a newer
            stage was published, or see `serving.publishing.repository.publish`.
        KeysError: the online key is missing, or may not sign stages.
    """
    content = _written(stage, MAX_STAGE_BYTES)
    with changing(directory, keys):
        publication = Publication.load(directory / "metadata", keys, validity)
        publication.require("online")
        found = _planned(publication, stage)
        if found.stage == stage:
            return
        _check_stage(stage, found)
        stages = _stages(publication)
        facts = stage.model_dump(mode="json", exclude={"schema_version", "time"})
        record(publication, "stage", **facts)
        target = stage_target(stage.stream, stage.rollout)
        _put(stages, directory, target, content)
        for name in stages.targets.keys() - _wanted(publication.targets.signed):
            del stages.targets[name]
        publication.sign_online(has_new_stage=True)
        _prune(directory / "targets" / target)


def read_rollouts(directory: Path, keys: Keys) -> tuple[Rollout, ...]:
    """The last rollout of each stream, verified by the root of `keys`, sorted by stream.

    Args:
        directory: the registry's folder.
        keys: a folder with the trusted root; it needs no key.

    Raises:
        RegistryError, KeysError: see `serving.publishing.repository.publish`.
    """
    with changing(directory, keys):
        publication = Publication.load(directory / "metadata", keys, DEFAULT_VALIDITY)
        names = sorted(filter(None, map(planned, publication.targets.signed.targets)))
        found = (_rollout(publication, stream) for stream, _ in names)
        return tuple(rollout for rollout in found if rollout is not None)


def _rollout(publication: Publication, stream: str) -> Rollout | None:
    """The last rollout of a stream, as the signed lists have it."""
    folder, targets = publication.folder.parent, publication.targets.signed
    name = _plan_of(targets, stream)
    if name is None:
        return None
    plan = _read(Plan, folder, targets.targets[name], MAX_PLAN_BYTES)
    listed = publication.stages.signed.targets if publication.stages is not None else {}
    found = listed.get(stage_target(stream, plan.id))
    return Rollout(plan, _read(Stage, folder, found, MAX_STAGE_BYTES) if found else None)


def _plan_of(targets: Targets, stream: str) -> str | None:
    """Name of the stream's plan in the list of bundles."""
    return next((name for name in targets.targets if (planned(name) or "")[:1] == (stream,)), None)


def _planned(publication: Publication, stage: Stage) -> Rollout:
    """The rollout that a stage is of."""
    found = _rollout(publication, stage.stream)
    if found is None or found.plan.id != stage.rollout:
        has = f"rollout {found.plan.id}" if found is not None else "no rollout"
        raise RegistryError(
            f"the registry has {has} of {stage.stream}, and no plan of {stage.rollout}: a plan is"
            " signed before its stages"
        )
    return found


def _stages(publication: Publication) -> Targets:
    """The list of stages, which the key at hand may sign."""
    allowed = publication.keyids(delegation.ROLE)
    if publication.stages is None or not any(keyid in publication.signers for keyid in allowed):
        raise KeysError(
            f"{publication.keys.folder} has the online key, but stages are still signed with the"
            " one before it: 'millhand-trainer registry refresh' with the targets key renews that"
        )
    return publication.stages.signed


def _wanted(targets: Targets) -> set[str]:
    """Names of the stages whose plans are in the list of bundles."""
    return {stage_target(*name) for name in map(planned, targets.targets) if name is not None}


def _check_plan(
    plan: Plan, publication: Publication, former: Rollout | None, added: Release | None
) -> None:
    """Refuse a plan that cannot be meant."""
    stream = plan.stream
    of_stream = [*publication.releases(stream), *([added] if added else [])]
    release = find(of_stream, stream, plan.seq)
    floor = max(one.floor_seq for one in of_stream)
    newest = max((one.seq for one in of_stream if not one.revoked), default=0)
    if release.revoked:
        raise RegistryError(f"{stream} seq {plan.seq} was revoked; a rollout needs another bundle")
    if plan.seq < floor:
        raise RegistryError(f"{stream} seq {plan.seq} is below {floor}, the oldest that may run")
    if plan.seq < newest:
        raise RegistryError(
            f"{stream} seq {plan.seq} is not the newest that may run, which is {newest}, and which"
            " gateways would take once the rollout is done: revoke the newer ones first"
        )
    if plan.deadline - plan.soak() <= datetime.now(UTC):
        raise RegistryError(
            f"the deadline of rollout {plan.id}, {plan.deadline:%Y-%m-%d %H:%M}, is over before its"
            f" groups have served for {plan.soak()} in all: choose a later one"
        )
    _check_former(plan, former)


def _check_former(plan: Plan, former: Rollout | None) -> None:
    """Refuse a second rollout of a stream."""
    last = former.plan.id if former is not None else None
    if plan.supersedes not in (None, last):
        raise RegistryError(
            f"rollout {plan.id} supersedes {plan.supersedes}, but the last rollout of"
            f" {plan.stream} is {last or 'none'}"
        )
    if former is not None and not former.is_over and plan.supersedes is None:
        raise RegistryError(
            f"rollout {last} of {plan.stream} is under way: revert it or wait until it is done, or"
            f" name it in supersedes"
        )


def _check_id(directory: Path, plan: Plan) -> None:
    content = _written(plan, MAX_PLAN_BYTES)
    for path in _files(directory / "targets" / plan_target(plan.stream, plan.id)):
        if content_of(path, MAX_PLAN_BYTES) != content:
            raise RegistryError(f"{path} is another plan of rollout {plan.id}: choose another id")


def _check_stage(stage: Stage, found: Rollout) -> None:
    """Refuse a stage that gateways would not obey."""
    steps, known = len(found.plan.steps), found.stage
    if stage.stage > steps:
        raise RegistryError(
            f"stage {stage.stage} of rollout {stage.rollout}: its plan has {steps} steps"
        )
    if known is not None and not stage.follows(known):
        raise RegistryError(
            f"rollout {stage.rollout} is at epoch {known.epoch} and stage {known.stage} already;"
            f" epoch {stage.epoch} and stage {stage.stage} do not follow: another controller has"
            " taken over, or this one has an old ledger"
        )


def _reverted(publication: Publication, former: Rollout | None) -> list[int]:
    """Numbers of bundles that earlier rollouts of the stream have brought back.

    Gateways of the next rollout do not take them for the newest one before it.
    """
    if former is None:
        return []
    targets, plan = publication.targets.signed.targets, former.plan
    custom = targets[plan_target(plan.stream, plan.id)].unrecognized_fields.get("custom", {})
    found = {int(seq) for seq in custom.get("reverted", [])}
    if former.stage is not None and former.stage.state == "reverted":
        found.add(plan.seq)
    return sorted(found)[-MAX_REVERTED:]


def _put(
    targets: Targets,
    directory: Path,
    name: str,
    content: bytes,
    custom: dict[str, list[int]] | None = None,
) -> None:
    """Write a file, and put it into a list that is signed afterwards."""
    digest = hashlib.sha256(content).hexdigest()
    write_atomically(directory / "targets" / stored_as(name, digest), content, below=directory)
    more = {"custom": custom} if custom is not None else None
    targets.targets[name] = TargetFile(len(content), {"sha256": digest}, name, more)


def _read(kind: type[D], folder: Path, target: TargetFile, most: int) -> D:
    path = folder / "targets" / stored_as(target.path, target.hashes["sha256"])
    content = content_of(path, most)
    try:
        target.verify_length_and_hashes(content)
        return kind.model_validate_json(content)
    except (RepositoryError, ValidationError) as exc:
        raise RegistryError(f"{path} is not the one that was signed: {exc}") from exc


def _written(document: BaseModel, most: int) -> bytes:
    content = document.model_dump_json(indent=1).encode() + b"\n"
    if len(content) > most:
        raise RegistryError(
            f"the document has {len(content)} bytes, and gateways read {most}: name fewer gateways,"
            " or give shares"
        )
    return content


def _prune(newest: Path) -> None:
    """Remove files of stages that no gateway in the middle of a refresh asks for any more."""
    paths = sorted(_files(newest), key=lambda path: path.lstat().st_mtime_ns)
    for path in paths[:-KEPT_STAGES]:
        path.unlink()


def _files(target: Path) -> list[Path]:
    """All files of a target, with their digests before its name."""
    found = target.parent.glob(f"*.{target.name}")
    return [path for path in found if path.name.partition(".")[2] == target.name]
