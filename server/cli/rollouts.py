"""The commands `millhand-server rollout ...`: plan, start, status, hold, resume, revert, rebuild.

They work whether or not the server runs: what is decided stands in the ledger and is signed, and a
controller that runs tells the gateways within a second. `hold`, `resume` and `revert` tell them as
well, as far as the broker can be reached; others learn it when they look into the registry.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from time import monotonic
from typing import Final

from models.bundle.correlation import in_words
from models.bundle.package import Bundle, read_bundle
from models.errors import BundleError
from models.printable import printable
from models.rollout.plan import Plan
from models.rollout.stage import Stage
from server.cli.told import LOOK_S, told, unasked
from server.rollouts.decisions import Decisions
from server.rollouts.documents import find
from server.rollouts.errors import PlanError, RolloutError
from server.rollouts.ledger import Ledger, Line, set_aside
from server.rollouts.link import Link
from server.rollouts.planning import (
    block_seconds,
    check_bundle,
    check_plan,
    compared,
    hours_to_show,
    read_plan,
)
from server.rollouts.report import MAX_LINES, described, summary
from server.rollouts.rules.decision import moment
from server.rollouts.rules.fleet import FleetView
from server.rollouts.service import LEDGER, decided, documents, now
from server.rollouts.settings import Rollouts
from server.rollouts.table import table
from server.settings import Settings
from serving.errors import ConfigError
from serving.preflight.answer import Answer
from serving.publishing.keys import Keys, KeysError
from serving.publishing.releases import RegistryError
from serving.publishing.rollouts import publish_plan

REFUSED: Final = 1
_REASON: Final = "asked for on the command line"


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    """Run one of the commands; returns the exit code, 1 where it is refused.

    Raises:
        ConfigError: the configuration has no section `[rollouts]`.
    """
    if settings.rollouts is None:
        raise ConfigError(
            f"{chosen.config} has no section [rollouts], which names the registry and its online "
            "key: docs/rollouts.md shows one"
        )
    act: Callable[[argparse.Namespace, Settings, Rollouts], None] = _ACTS[chosen.act]
    try:
        act(chosen, settings, settings.rollouts)
    except RolloutError as exc:
        code = "" if isinstance(exc, PlanError) else f"{exc.code}: "
        print(printable(f"{code}{exc}"), file=sys.stderr)
        return REFUSED
    return 0


def ask(rollouts: Rollouts) -> Answer:
    """Whether the registry of rollouts can be read; one line for `check`."""
    try:
        found = documents(rollouts).rollouts()
    except RolloutError as exc:
        return Answer("FAIL", f"rollouts: {exc}")
    return Answer("ok", f"rollouts: {rollouts.registry} has plans of {len(found)} streams")


def _plan(chosen: argparse.Namespace, _settings: Settings, rollouts: Rollouts) -> None:
    plan = read_plan(chosen.file)
    bundle = _given(chosen, plan)
    view = None if chosen.unchecked else _view(rollouts, plan.stream, chosen.wait)
    if view is not None and view.missing:
        raise PlanError(
            "no_gateways",
            f"{view.missing}, so nothing was signed: try again, wait for longer (--wait), or sign "
            "it without asking which gateways there are (--unchecked)",
        )
    registry = documents(rollouts)
    bundles = registry.bundles(plan.stream, compared(plan, view))
    bundles += [] if bundle is None else [bundle]
    if not any(one.manifest.seq == plan.seq for one in bundles):
        raise PlanError(
            "registry",
            f"{rollouts.registry} has no bundle {plan.stream}#{plan.seq}: give it along with the "
            "plan, which signs both at once (--bundle), or correct seq of the plan",
        )
    block_s = block_seconds(plan, bundles)
    check_plan(plan, now=now(), known=registry.rollouts(), view=view, block_s=block_s)
    keys = Keys(chosen.keys, chosen.passphrase_file)
    try:
        signed = publish_plan(rollouts.registry, plan, keys, bundle=bundle)
    except (RegistryError, KeysError, OSError) as exc:
        raise PlanError("registry", str(exc)) from exc
    print(f"The plan of rollout {plan.id} is in the registry.")
    if any(group.mode == "shadow" for group in plan.groups):
        least = in_words(3600 * hours_to_show(plan, block_s))
        print(
            f"A group compares for {least} at least before it serves, in blocks of "
            f"{in_words(block_s)}."
        )
    if signed.missing:
        print(f"It lacks {signed.missing} signatures: have it signed with the other targets keys.")
    else:
        print(f"It begins with: millhand-server rollout start {plan.id} --by NAME")


def _given(chosen: argparse.Namespace, plan: Plan) -> Bundle | None:
    """The bundle that is given along with a plan, once all that is given was looked at."""
    if not chosen.keys.is_dir():
        raise PlanError(
            "registry", f"{chosen.keys} is no folder: give that of the targets key (--keys)"
        )
    if chosen.bundle is None:
        return None
    try:
        bundle = read_bundle(chosen.bundle.read_bytes())
    except (OSError, BundleError) as exc:
        raise PlanError(
            "wrong_bundle",
            f"{chosen.bundle}: {exc}: --bundle takes what millhand-trainer train has written",
        ) from exc
    check_bundle(plan, bundle)
    return bundle


def _start(chosen: argparse.Namespace, settings: Settings, rollouts: Rollouts) -> None:
    _decide(
        settings,
        rollouts,
        lambda one: one.start(chosen.rollout, by=chosen.by, reason=chosen.reason or _REASON),
    )


def _wish(chosen: argparse.Namespace, settings: Settings, rollouts: Rollouts) -> None:
    stage = _decide(
        settings,
        rollouts,
        lambda one: one.decide(chosen.act, chosen.rollout, by=chosen.by, reason=chosen.reason),
    )
    plan = find(documents(rollouts), chosen.rollout).plan
    with closing(Link(rollouts)) as link:
        missing = _awaited(link, plan.stream, chosen.wait).missing
        said = unasked(plan, stage, missing) if missing else told(link, plan, stage, chosen.wait)
    print(printable(said))


def _decide(settings: Settings, rollouts: Rollouts, act: Callable[[Decisions], Stage]) -> Stage:
    stage: Stage = decided(rollouts, settings.server.state_dir, act)
    print(
        printable(
            f"Rollout {stage.rollout} is {stage.state}, step {stage.stage}, epoch {stage.epoch}, "
            f"by {stage.by}, {moment(stage.time)}."
        )
    )
    return stage


def _status(chosen: argparse.Namespace, settings: Settings, rollouts: Rollouts) -> None:
    registry = documents(rollouts)
    path = settings.server.state_dir / LEDGER
    if chosen.rollout is None:
        for one in registry.rollouts():
            told = summary(one, None)
            print(
                printable(
                    f"{told['id']}: {told['stream']} to seq {told['seq']}, {told['state']}, "
                    f"step {told['stage']} of {told['steps']}; {told['reason']}"
                )
            )
        return
    found = find(registry, chosen.rollout)
    view = _view(rollouts, found.plan.stream, chosen.wait)
    with closing(Ledger(path, registry.identity, rollouts.ledger_lines)) as ledger:
        lines = ledger.lines(chosen.rollout, MAX_LINES)
    print(table(described(found, None, view, lines)))


def _rebuild(chosen: argparse.Namespace, settings: Settings, rollouts: Rollouts) -> None:
    """Begin a new ledger by what is signed; a controller then raises every epoch."""
    registry = documents(rollouts)
    path = settings.server.state_dir / LEDGER
    started = [one.stage for one in registry.rollouts() if one.stage is not None]
    aside = set_aside(path)
    with closing(Ledger(path, registry.identity, rollouts.ledger_lines)) as ledger:
        for stage in started:
            reason = f"the ledger was rebuilt from the registry: {stage.state}, {stage.reason}"
            noted = stage.model_copy(update={"reason": reason, "by": chosen.by, "time": now()})
            ledger.append(Line.of(noted, "notes"))
    if aside is not None:
        print(f"The former ledger is kept as {aside}.")
    print(f"A new one knows {len(started)} rollouts. Soak times begin anew.")


def _view(rollouts: Rollouts, stream: str, patience_s: float) -> FleetView:
    """What gateways have said, as far as the broker tells it in time."""
    with closing(Link(rollouts)) as link:
        return _awaited(link, stream, patience_s)


def _awaited(link: Link, stream: str, patience_s: float) -> FleetView:
    ends_s = monotonic() + patience_s
    while link.missing and monotonic() < ends_s:
        link.turn(LOOK_S)
    return link.view(stream)


_ACTS: Final = {
    "plan": _plan,
    "start": _start,
    "status": _status,
    "hold": _wish,
    "resume": _wish,
    "revert": _wish,
    "rebuild": _rebuild,
}
