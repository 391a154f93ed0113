"""The plan of a rollout for a bundle that was trained: the stream's template, filled in.

The server signs no plan. It writes one for whoever holds the targets key.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from models.files import write_atomically
from models.rollout.plan import Plan
from server.retraining.errors import RetrainingError
from server.retraining.proposal import Proposal
from server.rollouts.errors import PlanError
from server.rollouts.planning import read_plan

DOCUMENT: Final = "plan.toml"
_MAX_BYTES: Final = 1 << 20


def write_plan(
    template: Path, folder: Path, proposal: Proposal, seq: int, deadline: datetime
) -> Plan:
    """Write the plan into the folder of a proposal.

    Args:
        template: a plan without `id`, `stream`, `seq` and `deadline`.
        folder: the folder of the proposal.
        proposal: the proposal, whose identity the rollout gets.
        seq: seq of the bundle.
        deadline: deadline of the rollout.

    Raises:
        RetrainingError: `plan_unusable`.
    """
    whole = (deadline + timedelta(seconds=1)).replace(microsecond=0)
    head = (
        f'id = "{proposal.id}"\n'
        f'stream = "{proposal.stream}"\n'
        f"seq = {seq}\n"
        f"deadline = {whole.isoformat()}\n\n"
    )
    path = folder / DOCUMENT
    try:
        if template.stat().st_size > _MAX_BYTES:
            raise RetrainingError("plan_unusable", f"{template} is longer than {_MAX_BYTES} bytes")
        write_atomically(path, head.encode() + template.read_bytes())
        return read_plan(path)
    except (OSError, PlanError) as exc:
        path.unlink(missing_ok=True)
        raise RetrainingError(
            "plan_unusable",
            f"no plan can be made of {template}: {exc}; it must have groups, and neither id, "
            "stream, seq nor deadline",
        ) from exc


def begins_in_shadow(plan: Plan) -> bool:
    """Whether the first thing that gateways do is to compare."""
    return plan.groups[0].mode == "shadow"
