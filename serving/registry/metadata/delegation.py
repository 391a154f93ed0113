"""To which role the list of bundles leaves the bundles of a stream."""

from tuf.api.metadata import DelegatedRole, Targets

from models.bundle.stream_list import pattern_of, role_of
from serving.registry.refusals import MetadataError


def delegated(targets: Targets, stream: str) -> DelegatedRole | None:
    """The role to which the list of bundles leaves a stream; None where it leaves it to none.

    Raises:
        MetadataError: it leaves the stream to another role, or more than the stream to this one.
    """
    if targets.delegations is None:
        return None
    found = [name for name, _ in targets.delegations.get_roles_for_target(pattern_of(stream))]
    if not found:
        return None
    role = (targets.delegations.roles or {}).get(role_of(stream))
    if role is None or found != [role.name] or role.paths != [pattern_of(stream)]:
        raise MetadataError(
            f"the list of bundles leaves {pattern_of(stream)} to {', '.join(found)!r:.200}; allowed"
            f" is one role, {role_of(stream)}, with no other paths"
        )
    return role
