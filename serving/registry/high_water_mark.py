"""The high-water mark: the newest metadata that this gateway has accepted from a registry.

It protects against two attacks that TUF leaves open. TUF remembers the versions that it has seen in
its metadata cache, which is written without fsync: after a power cut the cache may be empty, and
old metadata with valid signatures would be accepted (a rollback attack). And TUF trusts the clock:
where it was set back, expired metadata is valid again (a freeze attack). So the versions of all
four roles, those of the lists of this gateway's streams, and a time that has certainly passed, are
kept in a file of their own, `trust.json`, which is synced to the disk.

A role's version counts only while the keys that could sign it may still sign. If the publisher
revokes a key, versions that were signed with it are forgotten: otherwise a thief of an online key
could sign the highest version there is, and no later metadata would ever be accepted (a
fast-forward attack; TUF specification, 5.3.11). The version of the root always counts.

Beside it stands how far the rollout of each stream was when this gateway last obeyed it: an earlier
stage is never obeyed again, whoever has signed it, until the publisher signs another plan.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from models.files import write_atomically
from serving.registry.refusals import (
    ClockBehindError,
    MetadataError,
    RollbackError,
    TrustAnchorError,
)

NOT_BEFORE: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock that says less is not set, because this code did not exist then."""
CLOCK_STEP: Final = timedelta(minutes=5)
"""How far back time synchronisation may set a clock that was ahead, without a refusal."""
_SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class Role:
    """The newest metadata of a TUF role that was accepted.

    Attributes:
        version: version of the metadata.
        keys: ids of the keys that may sign the role; empty for the root, whose version always
            counts.
    """

    version: int
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Obeyed:
    """The newest stage of a rollout that was obeyed.

    Attributes:
        rollout: identity of the rollout.
        epoch: of the stage.
        stage: of the stage.
        sha256: digest of the file with the stage.
    """

    rollout: str
    epoch: int
    stage: int
    sha256: str


@dataclass(frozen=True, slots=True)
class HighWaterMark:
    """The newest metadata that was accepted, and when.

    Attributes:
        seen: latest time at which metadata was accepted. It lies before the expiry of that
            metadata, so a clock that is far ahead cannot move it beyond what the publisher signed.
        roles: newest metadata of each role, by name of the TUF role; also of lists of streams.
        rollouts: newest stage that was obeyed, by stream.
    """

    seen: datetime
    roles: Mapping[str, Role]
    rollouts: Mapping[str, Obeyed] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "HighWaterMark":
        """Read the file; without a file nothing was accepted yet.

        Args:
            path: path of trust.json.

        Raises:
            TrustAnchorError: the file is damaged, or written by another version of millhand. To go
                on without it would permit the attacks that it prevents, so a person must decide.
            OSError: the file cannot be read.
        """
        try:
            fields = json.loads(path.read_bytes())
        except FileNotFoundError:
            return cls(NOT_BEFORE, {})
        except ValueError as exc:
            raise TrustAnchorError(_damaged(path, f"it is not JSON: {exc}")) from exc
        try:
            return _parsed(fields)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise TrustAnchorError(_damaged(path, f"{type(exc).__name__}: {exc}")) from exc

    def write(self, path: Path) -> None:
        """Write the file atomically and synced, so that it survives a power cut.

        Raises:
            OSError: see `models.files.write_atomically`.
        """
        roles = {
            name: {"version": role.version, "keys": sorted(role.keys)}
            for name, role in sorted(self.roles.items())
        }
        fields = {"schema": _SCHEMA, "seen": self.seen.isoformat(), "roles": roles}
        if self.rollouts:
            fields["rollouts"] = {name: asdict(one) for name, one in sorted(self.rollouts.items())}
        write_atomically(path, json.dumps(fields, indent=1).encode() + b"\n")

    def check_clock(self, now: datetime) -> None:
        """Refuse a clock that is behind a time that has certainly passed.

        Args:
            now: time of the gateway's clock, with a time zone.

        Raises:
            ClockBehindError: the clock is behind by more than `CLOCK_STEP`.
        """
        if now < self.seen - CLOCK_STEP:
            raise ClockBehindError(
                f"the gateway's clock says {now:%Y-%m-%d %H:%M} UTC, but metadata was accepted at"
                f" {self.seen:%Y-%m-%d %H:%M}. Either the clock is behind now: set it, and updates"
                " go on by themselves. Or it was ahead then and is right now: updates go on at that"
                " time, or at once if you remove trust.json from the state directory while the"
                " registry is known to be good"
            )

    def raised(self, roles: Mapping[str, Role], now: datetime) -> "HighWaterMark":
        """The high-water mark after metadata was verified.

        Args:
            roles: the verified metadata, by name of the TUF role.
            now: time of the gateway's clock, with a time zone.

        Raises:
            RollbackError: the metadata of a role is older than accepted before.
        """
        for name, role in roles.items():
            before = self.roles.get(name)
            # A key that could sign the version before may not sign any more: see the module's head.
            if before is None or not before.keys <= role.keys:
                continue
            if role.version < before.version:
                raise RollbackError(
                    f"{name} metadata has version {role.version}, but {before.version} was accepted"
                    " before: old metadata is being replayed. Only if the registry was made anew"
                    " with other keys: remove trust.json and registry/ from the state directory"
                )
        return replace(self, seen=max(self.seen, now), roles={**self.roles, **roles})

    def check_gone(self, name: str, keys: Iterable[str]) -> None:
        """Refuse a registry that has the list of a stream no more.

        Args:
            name: name of the list's TUF role.
            keys: ids of the keys that may sign the list of bundles now.

        Raises:
            RollbackError: a list that these keys could sign was accepted before.
        """
        before = self.roles.get(name)
        if before is not None and before.keys <= frozenset(keys):
            raise RollbackError(
                f"the registry has no {name} metadata, but version {before.version} was accepted"
                " before: old metadata is being replayed, or somebody has taken it away"
            )

    def obeying(self, stream: str, rollout: str, stage: Obeyed | None) -> "HighWaterMark":
        """The high-water mark after the stage of a rollout is obeyed.

        Args:
            stream: stream of the rollout.
            rollout: identity of the rollout whose plan is signed.
            stage: its stage; None while none is signed.

        Raises:
            RollbackError: a later stage was obeyed before.
            MetadataError: another stage was obeyed that has the same numbers.
        """
        before = self.rollouts.get(stream)
        if before is not None and before.rollout == rollout:
            said = f"rollout {rollout} of {stream}"
            if stage is None or stage.epoch < before.epoch or stage.stage < before.stage:
                found = f"epoch {stage.epoch} and stage {stage.stage}" if stage else "no stage"
                raise RollbackError(
                    f"{said} has {found}, but epoch {before.epoch} and stage {before.stage} were"
                    " obeyed here before: an old stage is being replayed. If its publisher has lost"
                    " them, another plan that supersedes this one goes on"
                )
            same = (stage.epoch, stage.stage) == (before.epoch, before.stage)
            if same and stage.sha256 != before.sha256:
                raise MetadataError(
                    f"{said} has two stages with epoch {stage.epoch} and stage {stage.stage}; each"
                    " decision must raise one of them"
                )
        if stage is None or stage == before:
            return self
        return replace(self, rollouts={**self.rollouts, stream: stage})


def _parsed(fields: Any) -> HighWaterMark:  # noqa: ANN401  any JSON document
    if fields["schema"] != _SCHEMA:
        raise ValueError(f"schema is {fields['schema']!r}, this agent reads {_SCHEMA}")
    seen = datetime.fromisoformat(fields["seen"])
    if seen.tzinfo is None:
        raise ValueError("seen has no time zone")
    roles = {
        str(name): Role(int(role["version"]), frozenset(map(str, role["keys"])))
        for name, role in fields["roles"].items()
    }
    rollouts = {
        str(stream): Obeyed(
            str(one["rollout"]), int(one["epoch"]), int(one["stage"]), str(one["sha256"])
        )
        for stream, one in fields.get("rollouts", {}).items()
    }
    return HighWaterMark(max(seen, NOT_BEFORE), roles, rollouts)


def _damaged(path: Path, finding: str) -> str:
    return (
        f"{path} cannot be used ({finding}). It protects this gateway from old metadata. If the"
        " disk has damaged it, remove it while the registry is known to be good; updates then go on"
    )
