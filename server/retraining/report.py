"""A retraining as people are told of it: the proposal, its result, and the lines of the ledger."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from shlex import quote
from typing import Any, Final

from models.printable import printable
from models.rollout.plan import Plan
from server.retraining.execution.publication import obstacle
from server.retraining.execution.result import Result, read_result
from server.retraining.execution.rollout_plan import DOCUMENT as PLAN
from server.retraining.opened import Opened
from server.retraining.proposals import Known
from server.retraining.steps import FIRST, steps_of
from server.rollouts.errors import PlanError
from server.rollouts.planning import read_plan

MAX_LINES: Final = 100
"""Lines of the ledger that are told, the newest."""


def summary(known: Known) -> dict[str, Any]:
    """A retraining in a line."""
    return {
        "id": known.proposal.id,
        "stream": known.proposal.stream,
        "state": known.state,
        "since": known.line.time,
        "by": known.line.by,
        "reason": known.line.reason,
        "trigger": known.proposal.trigger,
        "proposed": known.proposal.time.isoformat(timespec="milliseconds"),
        "answer_by": known.proposal.answer_by.isoformat(timespec="milliseconds"),
    }


def described(of: Opened, known: Known) -> dict[str, Any]:
    """A whole retraining.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    result = read_result(known.folder)
    lines = of.ledger.lines(known.proposal.id, MAX_LINES)
    steps = steps_of(lines, _plan(known))
    return {
        **summary(known),
        "step": steps[0] if steps else FIRST,
        "proposal": known.proposal.model_dump(mode="json"),
        "result": result.model_dump(mode="json") if result is not None else None,
        "waits": _waits(of, known, result),
        "next": list(_commands(of, known, result)),
        "ledger": [asdict(one) | {"step": at} for one, at in zip(lines, steps, strict=True)],
    }


def _plan(known: Known) -> Plan | None:
    """The plan of the rollout, as it was written for whoever signs it; None where there is none."""
    try:
        return read_plan(known.folder / PLAN) if known.state == "published" else None
    except PlanError:
        return None


def _waits(of: Opened, known: Known, result: Result | None) -> str:
    """Why a trained bundle waits for a person; empty where it does not."""
    return obstacle(of, known, result) if known.state == "trained" and result is not None else ""


def _commands(of: Opened, known: Known, result: Result | None) -> Iterator[str]:
    """What a person may do next, as commands."""
    name = known.proposal.id
    if known.state == "proposed":
        yield f"millhand-server retrain accept {name} --by NAME --reason WHY"
        yield f"millhand-server retrain decline {name} --by NAME --reason WHY"
    if known.state != "trained" or result is None:
        return
    folder = known.folder.absolute()
    bundle, plan = quote(str(folder / result.file)), folder / PLAN
    if plan.exists():
        yield (
            f"millhand-server rollout plan {quote(str(plan))} --bundle {bundle} --keys TARGETS_KEYS"
        )
        yield f"millhand-server rollout start {name} --by NAME"
    else:
        registry = quote(str(of.rollouts.registry))
        yield f"millhand-trainer publish {bundle} --registry {registry} --keys TARGETS_KEYS"


def text(retraining: Mapping[str, Any]) -> str:
    """A whole retraining in lines of text, for a terminal."""
    return printable("\n".join(_lines(retraining)))


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    proposal, result = told["proposal"], told["result"]
    recordings, champion = proposal["recordings"], proposal["champion"]
    yield f"{told['id']}: {told['stream']}, {told['state']} since {told['since']} ({told['by']})"
    yield f"  step        {told['step']}"
    yield f"  because     {told['reason']}"
    yield f"  proposed    {proposal['time']} by {proposal['by']}: {proposal['reason']}"
    yield f"  recipe      {proposal['recipe']}"
    yield (
        f"  recordings  {recordings['files']} files, {recordings['size_bytes'] / 1e6:.1f} MB, "
        f"{recordings['newer']} newer than the bundle that serves"
    )
    yield f"  serves      {'seq ' + str(champion['seq']) if champion else 'nothing yet'}"
    if result is not None:
        yield f"  trained     seq {result['bundle']['seq']}: {result['said'] or result['verdict']}"
    if told["waits"]:
        yield f"  waits       for a person: {told['waits']}"
    for command in told["next"]:
        yield f"  next        {command}"
    yield ""
    yield from _decided(told["ledger"])


def _decided(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "the ledger, the newest first"
    for one in lines:
        said = f"{one['by']}: {one['reason']}"
        yield f"  {one['time']}  {one['what']:<10}  {one['state']:<10}  {one['step']:<18}  {said}"
