"""The delegated role `stages`: the online key may say how far rollouts are, and nothing else.

The list of bundles, which the keys of `targets` sign, delegates the paths `stages/*/*.json` to it
(TUF specification, 4.5). It has a list of its own, with the newest stage of each rollout whose plan
is published. So a controller that holds the online key alone can open a step of a plan, and whoever
steals that key can add neither a bundle nor a plan.
"""

from typing import Final

from tuf.api.metadata import DelegatedRole, Delegations, Root, Targets

ROLE: Final = "stages"
_PATHS: Final = ("stages/*/*.json",)


def keyids(targets: Targets) -> list[str]:
    """Ids of the keys that may sign stages; empty where the registry has no rollouts."""
    role = _role(targets)
    return list(role.keyids) if role is not None else []


def delegate(targets: Targets, root: Root) -> None:
    """Let the online key of the root sign stages, and no other key."""
    online = root.roles["snapshot"]
    role = DelegatedRole(
        ROLE, list(online.keyids), online.threshold, terminating=True, paths=list(_PATHS)
    )
    keys = {keyid: root.keys[keyid] for keyid in online.keyids}
    targets.delegations = Delegations(keys, {ROLE: role})


def is_outdated(targets: Targets, root: Root) -> bool:
    """Whether a key may sign stages that the root has replaced, or the other way round."""
    has = keyids(targets)
    return bool(has) and set(has) != set(root.roles["snapshot"].keyids)


def _role(targets: Targets) -> DelegatedRole | None:
    if targets.delegations is None or targets.delegations.roles is None:
        return None
    return targets.delegations.roles.get(ROLE)
