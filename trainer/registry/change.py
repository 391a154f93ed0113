"""What every change of a registry has in common: a lock, a line of audit, and a root's effect."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from trainer.registry import audit_trail
from trainer.registry.keys import Keys
from trainer.registry.publication import Publication, Role
from trainer.registry.releases import RegistryError


@contextmanager
def changing(directory: Path, keys: Keys) -> Iterator[None]:
    """Let one process at a time sign with the keys, and raise RegistryError for disk errors."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with keys.locked():
            yield
    except OSError as exc:
        raise RegistryError(f"{exc.filename or directory}: {exc.strerror}") from exc


def record(publication: Publication, act: str, **facts: object) -> None:
    """Write the line of the audit trail, before anything is changed."""
    held = {role: [keyid[:8] for keyid in publication.holds(role)] for role in get_args(Role)}
    audit_trail.record(
        publication.keys.audit,
        act,
        publication.folder.parent,
        **facts,
        keys={role: keyids for role, keyids in held.items() if keyids},
        versions_before=publication.versions(),
        accepts_restored=publication.keys.accepts_restored,
    )


def put_root(publication: Publication, replaced: set[Role]) -> None:
    """Publish a signed root, and sign with the new keys what the replaced ones signed."""
    publication.put_root()
    if "targets" in replaced:
        publication.sign_targets()
    if replaced - {"root"}:
        publication.sign_online()
    else:
        publication.remember()
