"""Makes a proposal, if there can be one: a recipe, recordings, and nothing else under way."""

from datetime import datetime, timedelta
from typing import Final

from models.rollout.stage import MAX_REASON
from server.retraining.errors import RetrainingError
from server.retraining.evidence.champion import champion_of
from server.retraining.evidence.recordings import recordings_of
from server.retraining.evidence.triggers import Cause
from server.retraining.opened import Opened
from server.retraining.proposal import Proposal
from server.retraining.proposals import Known
from server.retraining.settings import RetrainedStream

_OVER: Final = ("done", "reverted")


def propose(of: Opened, stream: str, found: Cause, *, by: str, now: datetime) -> Known:
    """Propose to train the model of a stream again.

    Args:
        of: the server's registry, ledger and proposals.
        stream: name of the stream.
        found: why.
        by: who or what proposes.
        now: time of day.

    Raises:
        RetrainingError: there can be no such proposal; `reason` says why.
        RolloutError: registry or ledger cannot be used.
    """
    wanted = entry(of, stream)
    _check_rollouts(of, stream)
    champion = champion_of(of.rollouts.registry, stream, found.witnesses)
    recordings = recordings_of(wanted, champion.created if champion is not None else None)
    proposal = Proposal(
        id=of.proposals.new_id(stream),
        stream=stream,
        time=now,
        answer_by=now + timedelta(seconds=of.retraining.answer_s),
        trigger=found.trigger,
        reason=found.reason[:MAX_REASON],
        by=by,
        recipe=str(wanted.recipe.absolute()),
        recordings=recordings,
        champion=champion.bundle if champion is not None else None,
        gateways=found.witnesses,
    )
    known = of.proposals.add(proposal)
    of.proposals.prune(of.retraining.max_proposals)
    return known


def entry(of: Opened, stream: str) -> RetrainedStream:
    """The settings of a stream.

    Raises:
        RetrainingError: `stream_unknown`.
    """
    found = of.retraining.by_stream.get(stream)
    if found is None:
        names = ", ".join(of.retraining.by_stream)
        raise RetrainingError(
            "stream_unknown",
            f"[[retraining.streams]] has no entry '{stream[:64]}'; it has {names}",
        )
    return found


def _check_rollouts(of: Opened, stream: str) -> None:
    for one in of.registry.rollouts():
        state = one.stage.state if one.stage is not None else "planned"
        if one.plan.stream == stream and state not in _OVER:
            raise RetrainingError(
                "rollout_under_way",
                f"rollout {one.plan.id} of {stream} is {state}: wait until it is done, or revert "
                "it",
            )
