"""The roles to which the list of bundles delegates: `stages`, and a list for each stream.

The online key may say how far rollouts are, and nothing else: the list of bundles, which the keys
of `targets` sign, delegates the paths `stages/*/*.json` to it (TUF specification, 4.5). That role
has a list of its own, with the newest stage of each rollout whose plan is published. So a
controller that holds the online key alone can open a step of a plan, and whoever steals that key
can add neither a bundle nor a plan.

Where a registry is marked, the bundles of each stream are in a list of the stream's own, which the
keys of `targets` sign as well (`models.bundle.stream_list`). So a gateway reads its own list only.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from tuf.api.metadata import DelegatedRole, Delegations, Role, Root, TargetFile, Targets

from models.bundle.stream_list import pattern_of, stream_of

ROLE: Final = "stages"
BY_STREAM: Final = "bundles/.by-stream"
"""Entry that marks a list of bundles whose streams have lists of their own, or had them once.

Publishers of earlier releases, which would drop those lists, do not sign a list with it: it is no
bundle. Gateways do not look at it.
"""
_PATHS: Final = ("stages/*/*.json",)
_NEEDED: Final = {"custom": {"needs": "a release of millhand that signs a list for each stream"}}
_UNITED: Final = {"custom": {**_NEEDED["custom"], "lists": "are empty"}}


def keyids(targets: Targets, name: str = ROLE) -> list[str]:
    """Ids of the keys that may sign a role; empty where there is no such role."""
    found = _roles(targets).get(name)
    return list(found.keyids) if found is not None else []


def lists(targets: Targets) -> list[str]:
    """Names of the roles that have the list of a stream."""
    return [name for name in _roles(targets) if stream_of(name) is not None]


def is_by_stream(targets: Targets) -> bool:
    """Whether new bundles belong into the lists of their streams."""
    found = targets.targets.get(BY_STREAM)
    return found is not None and found.custom != _UNITED["custom"]


def mark(targets: Targets) -> None:
    """Have new bundles put into the lists of their streams."""
    _put_mark(targets, _NEEDED)


def unmark(targets: Targets) -> None:
    """Have new bundles put into the list of all again.

    The entry stays, because the lists do: a publisher of an earlier release would drop them.
    """
    _put_mark(targets, _UNITED)


def delegate(targets: Targets, root: Root, *names: str) -> None:
    """Let the keys of the root sign the roles that there are, and further ones.

    Args:
        targets: the list of bundles.
        root: the root, whose online key signs stages, and whose targets keys sign lists.
        names: names of further roles.
    """
    keys, roles = {}, {}
    for name in sorted({*_roles(targets), *names}):
        signer, stream = _signer(root, name), stream_of(name)
        paths = list(_PATHS) if stream is None else [pattern_of(stream)]
        keys.update({keyid: root.keys[keyid] for keyid in signer.keyids})
        roles[name] = DelegatedRole(
            name, list(signer.keyids), signer.threshold, terminating=True, paths=paths
        )
    if roles:
        targets.delegations = Delegations(keys, roles)


def is_outdated(targets: Targets, root: Root) -> bool:
    """Whether a key may sign a role that the root has replaced, or the other way round."""
    return any(
        (set(role.keyids), role.threshold) != (set(now.keyids), now.threshold)
        for name, role in _roles(targets).items()
        for now in [_signer(root, name)]
    )


def _put_mark(targets: Targets, fields: Mapping[str, Any]) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    targets.targets[BY_STREAM] = TargetFile(0, {"sha256": digest}, BY_STREAM, dict(fields))


def _signer(root: Root, name: str) -> Role:
    """The role of the root whose keys sign a delegated one."""
    return root.roles["snapshot" if name == ROLE else "targets"]


def _roles(targets: Targets) -> dict[str, DelegatedRole]:
    return (targets.delegations.roles if targets.delegations is not None else None) or {}
