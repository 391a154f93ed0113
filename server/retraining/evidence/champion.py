"""The bundle that a new one is compared with: that which serves, as the registry has it.

Gateways say which bundle serves. As anybody who may publish on the broker can say so as well, they
only choose among what the registry has published.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from models.bundle.package import load_bundle
from models.errors import BundleError
from server.retraining.errors import RetrainingError
from server.retraining.proposal import Bundle, Witness
from serving.publishing.releases import RegistryError, Release
from serving.publishing.repository import listing


@dataclass(frozen=True, slots=True)
class Champion:
    """A published bundle.

    Attributes:
        bundle: seq and digest.
        path: its file in the registry.
        created: when it was made.
    """

    bundle: Bundle
    path: Path
    created: datetime


def champion_of(registry: Path, stream: str, witnesses: Sequence[Witness]) -> Champion | None:
    """The bundle that most gateways serve, or else the newest one; None where there is none.

    Args:
        registry: folder of the registry.
        stream: name of the stream.
        witnesses: what gateways say.

    Raises:
        RetrainingError: `registry_unreadable`.
    """
    releases = [one for one in _releases(registry, stream) if not one.revoked]
    served = Counter(one.sha256 for one in witnesses)
    for one in sorted(releases, key=lambda one: (-served[one.sha256], -one.seq)):
        path = registry / "targets" / one.path
        try:
            stored = load_bundle(path)
        except (OSError, BundleError) as exc:
            raise RetrainingError(
                "registry_unreadable", f"{path} cannot be read: {exc}; publish the bundle again"
            ) from exc
        if stored.sha256 != one.sha256:
            raise RetrainingError(
                "registry_unreadable", f"{path} is not what was signed; publish the bundle again"
            )
        return Champion(Bundle(seq=one.seq, sha256=one.sha256), path, stored.manifest.created)
    return None


def next_seq(registry: Path, stream: str) -> int:
    """One above the highest seq that was ever published of a stream.

    Raises:
        RetrainingError: `registry_unreadable`.
    """
    return 1 + max((one.seq for one in _releases(registry, stream)), default=0)


def has(registry: Path, stream: str, bundle: Bundle) -> bool:
    """Whether the registry has published a bundle.

    Raises:
        RetrainingError: `registry_unreadable`.
    """
    return any(
        (one.seq, one.sha256) == (bundle.seq, bundle.sha256) for one in _releases(registry, stream)
    )


def _releases(registry: Path, stream: str) -> list[Release]:
    try:
        return [one for one in listing(registry) if one.stream == stream]
    except (RegistryError, OSError) as exc:
        raise RetrainingError("registry_unreadable", str(exc)) from exc
