"""Plans that people write: they are read from TOML, and one that cannot be meant is refused.

| code | what cannot be meant |
| --- | --- |
| plan_unreadable | the file cannot be read, is no TOML, or is no plan |
| second_rollout | another rollout of the stream is under way, and `supersedes` does not name it |
| group_of_nobody | no gateway that has the stream belongs to a group |
| from_nobody | no gateway runs a bundle of `from_seqs` |
| deadline_too_early | the groups soak for longer than the deadline leaves |
| never_shown | the gates cannot show in time that the bundle is no worse |
| wrong_bundle | the bundle that is to be published along is not the one of the plan |
| registry | the registry refuses it: seq older than the floor, not published, revoked, no key |
"""

import tomllib
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from models.bundle.correlation import BLOCK_S, block_of
from models.bundle.package import StoredBundle
from models.bundle.reference import read_document
from models.rollout.membership import group_of
from models.rollout.plan import Plan
from models.validation import explain, follows, key_of, known_keys
from server.rollouts.errors import PlanError
from server.rollouts.rules.decision import moment
from server.rollouts.rules.fleet import FleetView
from serving.gates.e_values import trials_to_show
from serving.gates.evidence import MOST_BLOCKS
from serving.publishing.rollouts import Rollout

_MAX_BYTES: Final = 1 << 20
_OVER: Final = ("done", "reverted")
_TIME: Final = "a time with its zone is needed, without quotes, as 2026-12-20T12:00:00Z"
_NEEDED: Final = {
    "tuple_type": "a list is needed, in brackets",
    "string_type": "text is needed, in quotes",
    "string_pattern_mismatch": "allowed are letters, digits, '.', '_' and '-', 64 at most, and a "
    "letter or a digit at the beginning",
    "timezone_aware": _TIME,
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
}
"""What is allowed, where pydantic's own message is written for programmers."""


def read_plan(path: Path) -> Plan:
    """Read a plan from a TOML file.

    Raises:
        PlanError: `plan_unreadable`, with a line for each mistake.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise PlanError("plan_unreadable", f"{path} is longer than {_MAX_BYTES} bytes")
        return Plan.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
        found = [f"{path}: {_explained(one)}" for one in errors if not follows(one, errors)]
        raise PlanError("plan_unreadable", "\n".join(found)) from exc
    except OSError as exc:
        raise PlanError("plan_unreadable", f"{path} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise PlanError("plan_unreadable", f"{path} is not TOML: {exc}") from exc


def check_bundle(plan: Plan, bundle: StoredBundle) -> None:
    """Do nothing where a bundle is the one that a plan is about.

    Raises:
        PlanError: `wrong_bundle`: it is another one, which would be published along with the plan.
    """
    found, wanted = bundle.manifest, f"{plan.stream}#{plan.seq}"
    if (found.stream, found.seq) != (plan.stream, plan.seq):
        raise PlanError(
            "wrong_bundle",
            f"the bundle is {found.stream}#{found.seq}, and the plan is for {wanted}: give the "
            "bundle of the plan, or correct stream and seq of the plan",
        )


def check_plan(
    plan: Plan,
    *,
    now: datetime,
    known: Sequence[Rollout],
    view: FleetView | None,
    block_s: float = BLOCK_S,
) -> None:
    """Do nothing where a plan can be meant.

    Args:
        plan: the plan.
        now: time of day.
        known: the rollouts of the registry.
        view: what gateways have said; None where nobody could ask them.
        block_s: seconds of a block of time, see `block_seconds`.

    Raises:
        PlanError: it cannot be meant; the message has the remedy.
    """
    _check_second(plan, known)
    if view is not None:
        _check_fleet(plan, view)
    _check_time(plan, now, block_s)


def compared(plan: Plan, view: FleetView | None) -> set[int]:
    """Numbers of the bundles that a plan compares, as far as they are known.

    Args:
        plan: the plan.
        view: what gateways have said; None where nobody could ask them.
    """
    said = [one.current for one in view.members.values()] if view is not None else []
    running = {one.seq for one in said if one is not None and one.seq is not None}
    return {plan.seq, *plan.from_seqs, *running}


def block_seconds(plan: Plan, bundles: Sequence[StoredBundle]) -> float:
    """Seconds of a block of time in which gateways compare.

    They are those of the plan, or as long as the bundles know that the plant remembers; where a
    window comes less often, each window is a block.

    Args:
        plan: the plan.
        bundles: the bundles that are known of those which it compares.
    """
    read = [read_document(one.reference, one.manifest.channels) for one in bundles]
    known = [one.correlation for one in read if one is not None]
    windows = [one.manifest.window for one in bundles]
    apart_s = [one.hop * one.period_ns / 1e9 for one in windows]
    return max(plan.gates.block_s or block_of(*known), *apart_s, 0.0)


def hours_to_show(plan: Plan, block_s: float) -> float:
    """Hours that a gateway compares at least before it shows the bundle to be no worse.

    Args:
        plan: the plan.
        block_s: seconds of a block of time, see `block_seconds`.
    """
    gates = plan.gates
    blocks = trials_to_show(0, gates.disagreement, gates.beta, MOST_BLOCKS) or MOST_BLOCKS
    return blocks * block_s / 3600


def _explained(error: ErrorDetails) -> str:
    """A mistake in a plan: the key, what was found, and what is allowed."""
    key = key_of(error["loc"])
    if error["type"] == "extra_forbidden":
        return (
            f"{key}: is no key of a plan; allowed are {', '.join(known_keys(error['loc'], Plan))}"
        )
    return f"{key or 'the plan'}: {explain(error, _NEEDED.get(error['type']))}"


def _check_second(plan: Plan, known: Sequence[Rollout]) -> None:
    for one in known:
        if one.plan.stream != plan.stream or one.plan == plan:
            continue
        state = one.stage.state if one.stage is not None else "planned"
        if state not in _OVER and plan.supersedes != one.plan.id:
            raise PlanError(
                "second_rollout",
                f"rollout {one.plan.id} of {plan.stream} is {state}: revert it or wait until it is "
                f'done, or replace it by supersedes = "{one.plan.id}"',
            )


def _check_fleet(plan: Plan, view: FleetView) -> None:
    members = {name: one.current for name, one in view.members.items() if one.current is not None}
    for index, group in enumerate(plan.groups):
        if not any(group_of(plan, gateway) == index for gateway in members):
            of = ", ".join(sorted(members)[:10]) or "none"
            raise PlanError(
                "group_of_nobody",
                f"no gateway of group {group.name} has ever said what it runs of {plan.stream}; "
                f"those that have: {of}. Name some of them, or choose a larger share",
            )
    seqs = {one.seq for one in members.values()}
    if plan.from_seqs and not seqs & {*plan.from_seqs, plan.seq}:
        raise PlanError(
            "from_nobody",
            f"no gateway runs a seq of from_seqs ({_numbers(plan.from_seqs)}) of {plan.stream}; "
            f"they run {_numbers(sorted(one for one in seqs if one is not None))}",
        )


def _check_time(plan: Plan, now: datetime, block_s: float) -> None:
    left = plan.deadline - now - plan.soak()
    if left <= timedelta(0):
        raise PlanError(
            "deadline_too_early",
            f"the groups serve for {plan.soak()} in all before the next is opened, and the "
            f"deadline is {moment(plan.deadline)}: choose a later one, or a shorter soak_s",
        )
    shadows = sum(group.mode == "shadow" for group in plan.groups)
    hours = hours_to_show(plan, block_s)
    if timedelta(hours=shadows * hours) > left:
        gates = plan.gates
        raise PlanError(
            "never_shown",
            f"{shadows} groups compare for {hours:.1f} hours each at least, in blocks of "
            f"{block_s:.6g} s, before they can show "
            f"that at most {100 * gates.disagreement:.3g} % of the windows disagree (beta "
            f"{gates.beta:g}), and {left.total_seconds() / 3600:.1f} hours are left: choose a "
            'later deadline, a larger gates.disagreement, or mode = "serve" for the later groups',
        )


def _numbers(seqs: Sequence[int]) -> str:
    return ", ".join(map(str, seqs)) or "none"
