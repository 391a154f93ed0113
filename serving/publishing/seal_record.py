"""The record of what was sealed last, `sealed.json` beside the keys.

Signatures alone do not protect the publisher from its own past: an older copy of the registry's
folder is signed as well as the newest one. Whoever may write there could put such a copy back, and
the next signature would make it the newest for all gateways, a withdrawn bundle included. So the
publisher remembers, where nobody else writes, the version and the digest of each document that it
has signed or seen, and signs nothing that is based on older or on different ones.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from models.bundle.manifest import Sha256
from models.files import write_atomically
from serving.publishing.keys import KeysError
from serving.publishing.releases import RegistryError

_NAMES: Final = (
    "^(root|targets|snapshot|timestamp|stages|bundles[.][A-Za-z0-9][A-Za-z0-9._-]{0,63})$"
)
TufRole = Annotated[str, StringConstraints(pattern=_NAMES)]
_MAX_BYTES: Final = 4_000_000  # for the lists of some 20,000 streams
REMEDY: Final = (
    "If you have put back a backup yourself, sign it with --accept-restored-registry"
    " (docs/registry.md, 'After a backup was put back'); otherwise somebody else has, and the"
    " newest copy must come back"
)


class RolledBackError(RegistryError):
    """The registry is older than what was signed here before."""

    code: ClassVar[str] = "registry_rolled_back"


class ForkedError(RegistryError):
    """The registry has other content than what was signed here under the same version."""

    code: ClassVar[str] = "registry_forked"


class Seal(BaseModel):
    """Version and digest of one signed document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[int, Field(ge=1)]
    sha256: Sha256


class SealRecord(BaseModel):
    """The newest documents that were signed or seen here, by TUF role; empty at first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    roles: Mapping[TufRole, Seal] = {}

    @classmethod
    def read(cls, path: Path) -> "SealRecord":
        """Read the record; without a file nothing was signed or seen yet.

        Raises:
            KeysError: the file cannot be read, or is damaged.
        """
        try:
            with path.open("rb") as file:
                return cls.model_validate_json(file.read(_MAX_BYTES), strict=True)
        except FileNotFoundError:
            return cls()
        except OSError as exc:
            raise KeysError(f"{path} cannot be read: {exc.strerror}") from exc
        except ValidationError as exc:
            raise KeysError(
                f"{path} is damaged. It protects the registry from being rolled back. Remove it"
                " only while 'registry list' shows every revocation that you have made"
            ) from exc

    def write(self, path: Path) -> None:
        """Write the record atomically and synced.

        Raises:
            OSError: see `models.files.write_atomically`.
        """
        content = self.model_dump_json(indent=1).encode() + b"\n"
        write_atomically(path, content, mode=0o600)

    def version(self, role: TufRole) -> int:
        """Highest version of a role that was signed or seen here; 0 if there is none."""
        return self.roles[role].version if role in self.roles else 0

    def check(self, found: Mapping[TufRole, Seal]) -> None:
        """Refuse documents that are older than the remembered ones, or different from them.

        Args:
            found: the documents of the registry by role.

        Raises:
            RolledBackError: a document is older.
            ForkedError: a document has a remembered version, but another content.
        """
        for role, sealed in self.roles.items():
            now = found.get(role)
            if now is None or now.version < sealed.version:
                has = f"has version {now.version}" if now is not None else "is missing"
                raise RolledBackError(
                    f"the registry's {role} metadata {has}, but version"
                    f" {sealed.version} was signed or seen here before: an older copy of the"
                    f" registry was put back. {REMEDY}"
                )
            if now.version == sealed.version and now.sha256 != sealed.sha256:
                raise ForkedError(
                    f"the registry's {role} metadata of version {now.version} is not the one that"
                    f" was signed or seen here: sha256 {now.sha256} instead of {sealed.sha256}."
                    f" {REMEDY}"
                )
