"""How the registry is reached: what identifies this gateway to it, and which servers it may name.

Secrets are paths of files here. `serving.registry.credentials`, which only the child process
imports, reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self


@dataclass(frozen=True, slots=True)
class Access:
    """The settings of `[registry]` that concern the connection.

    Attributes:
        allowed_origins: other servers to which the registry may redirect.
        token_file: file with a bearer token; None without one.
        username: user name for basic authentication; None without one.
        password_file: file with the password of `username`.
        ca_file: file with the certificate authorities to trust, in PEM; None for those of the
            system.
        cert_file: file with the client certificate, in PEM; None without one.
        key_file: file with the key of `cert_file`, in PEM and without a password.
    """

    allowed_origins: tuple[str, ...] = ()
    token_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @property
    def secrets(self) -> dict[str, Path]:
        """The files that nobody but this gateway may read, by the key that names them."""
        named = {
            "registry.token_file": self.token_file,
            "registry.password_file": self.password_file,
            "registry.key_file": self.key_file,
        }
        return {key: path for key, path in named.items() if path is not None}

    @property
    def files(self) -> dict[str, Path]:
        """All files, by the key that names them."""
        named = {"registry.ca_file": self.ca_file, "registry.cert_file": self.cert_file}
        return self.secrets | {key: path for key, path in named.items() if path is not None}

    @classmethod
    def of(cls, settings: object) -> Self:
        """Take the fields from an object that has attributes of the same names."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what was written as JSON with paths as text."""
        paths = {
            name: Path(value)
            for name, value in content.items()
            if name.endswith("_file") and value is not None
        }
        origins = tuple(content["allowed_origins"])
        return cls(**{**content, **paths, "allowed_origins": origins})


OPEN: Final = Access()
"""A registry that everybody may read, and that redirects nowhere else."""
