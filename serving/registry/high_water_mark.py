"""The watermark: what this gateway has seen of a registry, so that it never takes older for newer.

TUF's own memory is its metadata cache, written without fsync: a power cut may empty it, and a
replay of old, well signed metadata would then pass. And TUF believes the clock: set back, expired
metadata is fresh again. The watermark is the fsynced memory that closes both holes: the versions of
all four roles, and a time that has certainly passed.

A role's version counts for as long as the keys that signed it may sign: when the publisher takes a
key away, versions made with it mean nothing any more. So a stolen online key that pushed its
versions to the limit is repaired by a new root, as the TUF specification has it (5.3.11). The root
itself always counts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from models.files import write_atomically
from serving.registry.refusals import ClockBehindError, RollbackError, TrustAnchorError

NOT_BEFORE: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock that is set can say less: this code did not exist."""
CLOCK_STEP: Final = timedelta(minutes=5)
"""How far time synchronisation may set a clock back that ran ahead."""
_SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class Role:
    """The newest metadata seen of a TUF role, and the ids of the keys that may sign it."""

    version: int
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HighWaterMark:
    """What was seen.

    Attributes:
        seen: when metadata was last found good: before its expiry, so a clock that runs far ahead
            cannot push it beyond what the publisher has signed.
        roles: by TUF role name.
    """

    seen: datetime
    roles: Mapping[str, Role]

    @classmethod
    def read(cls, path: Path) -> "HighWaterMark":
        """Read the file; a gateway that has none yet has seen nothing.

        Raises:
            TrustAnchorError: the file is damaged or from another version of millhand. To go on
                without it would open the hole that it closes, so a person must decide.
            OSError: it cannot be read.
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
        """Keep it for the next start, also through a power cut."""
        roles = {
            name: {"version": role.version, "keys": sorted(role.keys)}
            for name, role in sorted(self.roles.items())
        }
        fields = {"schema": _SCHEMA, "seen": self.seen.isoformat(), "roles": roles}
        write_atomically(path, json.dumps(fields, indent=1).encode() + b"\n")

    def check_clock(self, now: datetime) -> None:
        """Refuse a clock that is behind what has certainly passed.

        Raises:
            ClockBehindError: by more than a step of time synchronisation.
        """
        if now < self.seen - CLOCK_STEP:
            raise ClockBehindError(
                f"the gateway's clock says {now:%Y-%m-%d %H:%M} UTC, but {self.seen:%Y-%m-%d %H:%M}"
                " has passed: updates wait until the clock is set"
            )

    def raised(self, roles: Mapping[str, Role], now: datetime) -> "HighWaterMark":
        """The watermark after good metadata was seen at `now`.

        Raises:
            RollbackError: a role is older than before.
        """
        for name, role in roles.items():
            before = self.roles.get(name)
            if before is None or not before.keys <= role.keys:
                continue
            if role.version < before.version:
                raise RollbackError(
                    f"{name} metadata has version {role.version}, seen was {before.version}: an old"
                    " set is being replayed. Only if the registry was made anew with other keys:"
                    " remove trust.json and registry/ from the state directory"
                )
        return HighWaterMark(max(self.seen, now), dict(roles))


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
    return HighWaterMark(max(seen, NOT_BEFORE), roles)


def _damaged(path: Path, finding: str) -> str:
    return (
        f"{path} cannot be used ({finding}): it remembers what this gateway has seen. If the disk"
        " damaged it, remove it while the registry is known to be good; updates go on then"
    )
