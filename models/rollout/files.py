"""Where plans and stages lie in a registry, and how long they may be."""

import re
from typing import Final

MAX_PLAN_BYTES: Final = 1 << 20
MAX_STAGE_BYTES: Final = 4096
_PLAN: Final = re.compile(r"rollouts/(?P<stream>[^/]+)/(?P<rollout>[^/]+)\.json")


def plan_target(stream: str, rollout: str) -> str:
    """Name of the signed file with the plan of a rollout."""
    return f"rollouts/{stream}/{rollout}.json"


def stage_target(stream: str, rollout: str) -> str:
    """Name of the signed file with the newest stage of a rollout."""
    return f"stages/{stream}/{rollout}.json"


def planned(target: str) -> tuple[str, str] | None:
    """Stream and identity of the rollout whose plan a signed file is; None for other files."""
    match = _PLAN.fullmatch(target)
    return (match["stream"], match["rollout"]) if match is not None else None


def stored_as(target: str, sha256: str) -> str:
    """Path of a signed file below targets/: its digest stands before its name.

    So a reader in the middle of a refresh finds the file that its list names, although a newer one
    has been published (consistent snapshots; TUF specification, 6.2).
    """
    folder, _, name = target.rpartition("/")
    return f"{folder}/{sha256}.{name}"
