"""When a training is proposed: drift that stays, or labels that are new. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from server.retraining.proposal import MAX_NAMED, Proposal, Trigger, Witness
from server.retraining.settings import RetrainedStream
from server.rollouts.rules.decision import gateways, listed

_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a training is proposed.

    Attributes:
        trigger: what has caused it.
        reason: why, in words, with the figures.
        witnesses: what gateways have said, those that have caused it first.
    """

    trigger: Trigger
    reason: str
    witnesses: tuple[Witness, ...] = ()


def cause(
    wanted: RetrainedStream, witnesses: Sequence[Witness], before: Proposal | None
) -> Cause | None:
    """Why a stream's model should be trained again; None where nothing asks for it.

    Args:
        wanted: the settings of the stream.
        witnesses: what gateways say.
        before: the last proposal of the stream; None if there was none.
    """
    return _of_drift(wanted, witnesses) or _of_labels(wanted, witnesses, before)


def asked_for(reason: str, witnesses: Sequence[Witness]) -> Cause:
    """The cause where a person asks for a proposal."""
    return Cause("person", reason, tuple(witnesses[:MAX_NAMED]))


def _of_drift(wanted: RetrainedStream, witnesses: Sequence[Witness]) -> Cause | None:
    least_s = wanted.drift_after_s
    if least_s is None:
        return None
    found = [one for one in witnesses if one.drift_s >= least_s]
    if len(found) < wanted.drift_gateways:
        return None
    found.sort(key=lambda one: -(one.ratio or 0.0))
    figures = listed(
        [
            f"{one.gateway}: {one.worst} ({one.view}) of {one.asset} at {one.ratio or 0.0:.2f} "
            f"times its limit for {one.drift_s / _HOUR_S:.1f} h"
            for one in found
        ]
    )
    reason = f"drift on {gateways(len(found))} for {least_s / _HOUR_S:.1f} h or longer: {figures}"
    return _caused("drift", reason, found, witnesses)


def _of_labels(
    wanted: RetrainedStream, witnesses: Sequence[Witness], before: Proposal | None
) -> Cause | None:
    if wanted.labels_after is None:
        return None
    found = [one for one in witnesses if one.labels]
    counted = sum(one.labels for one in found)
    known = _counted_before(found, before)
    if counted - known < wanted.labels_after:
        return None
    figures = listed(
        [
            f"{one.gateway}: {one.labels}"
            + (f" with a mean error of {one.error:.3g}" if one.error is not None else "")
            for one in found
        ]
    )
    since = f", {known} of them were there at the last proposal" if known else ""
    reason = f"{counted} labels were compared with the bundle that serves{since}: {figures}"
    return _caused("labels", reason, found, witnesses)


def _counted_before(found: Sequence[Witness], before: Proposal | None) -> int:
    """Labels of the same bundles that the last proposal has counted."""
    if before is None:
        return 0
    same = {(one.gateway, one.sha256): one.labels for one in before.gateways}
    return sum(min(one.labels, same.get((one.gateway, one.sha256), 0)) for one in found)


def _caused(
    trigger: Trigger, reason: str, found: Sequence[Witness], witnesses: Sequence[Witness]
) -> Cause:
    named = {one.gateway for one in found}
    others = [one for one in witnesses if one.gateway not in named]
    return Cause(trigger, reason, tuple([*found, *others][:MAX_NAMED]))
