"""The commands `millhand-server retrain ...`: list, show, propose, accept, decline.

They work whether or not the server runs; what was accepted is trained by the server.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any, Final

from models.printable import printable
from server.retraining.evidence.heard import Heard
from server.retraining.evidence.recordings import recordings_of
from server.retraining.evidence.triggers import asked_for
from server.retraining.execution.running import program
from server.retraining.opened import Opened, opened
from server.retraining.proposal import Witness
from server.retraining.proposing import propose
from server.retraining.report import described, summary, text
from server.retraining.service import ROLE, answered
from server.retraining.settings import Retraining
from server.rollouts.errors import RolloutError
from server.rollouts.link import Listening
from server.rollouts.service import now
from server.settings import Settings
from serving.errors import ConfigError
from serving.preflight.answer import Answer

REFUSED: Final = 1
_LOOK_S: Final = 0.2


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    """Run one of the commands; returns the exit code, 1 where it is refused.

    Raises:
        ConfigError: the configuration has no section `[retraining]`.
    """
    if settings.retraining is None or settings.rollouts is None:
        raise ConfigError(
            f"{chosen.config} has no section [retraining], which names streams and their recipes: "
            "docs/retraining.md shows one"
        )
    act: Callable[[argparse.Namespace, Opened], None] = _ACTS[chosen.act]
    try:
        with opened(settings.retraining, settings.rollouts, settings.server.state_dir) as of:
            act(chosen, of)
    except RolloutError as exc:
        code = "" if exc.code == "retraining" else f"{exc.code}: "
        print(printable(f"{code}{exc}"), file=sys.stderr)
        return REFUSED
    return 0


def ask_streams(retraining: Retraining) -> Iterator[Answer]:
    """Whether models could be trained now; a line for each stream, for `check`."""
    try:
        program(retraining.command)
    except RolloutError as exc:
        yield Answer("FAIL", f"retraining: {exc}")
    for one in retraining.streams:
        try:
            found = recordings_of(one, None)
        except RolloutError as exc:
            yield Answer("FAIL", f"retraining of {one.stream}: {exc}")
        else:
            where = f"{found.files} files" if found.named else "a database"
            yield Answer("ok", f"retraining of {one.stream}: {one.recipe} reads {where}")


def _list(chosen: argparse.Namespace, of: Opened) -> None:
    told = [summary(one) for one in of.proposals.all()]
    if chosen.json:
        print(json.dumps(told, indent=2))
        return
    for one in told:
        said = f"{one['id']}: {one['state']} since {one['since']} ({one['by']}); {one['reason']}"
        print(printable(said))
    if not told:
        print("Nothing was proposed yet.")


def _show(chosen: argparse.Namespace, of: Opened) -> None:
    told: dict[str, Any] = described(of, of.proposals.find(chosen.retraining))
    print(json.dumps(told, indent=2) if chosen.json else text(told))


def _propose(chosen: argparse.Namespace, of: Opened) -> None:
    cause = asked_for(chosen.reason, _witnesses(of, chosen.stream, chosen.wait))
    known = propose(of, chosen.stream, cause, by=chosen.by, now=now())
    print(printable(f"{known.proposal.id} is proposed; {known.folder} has its document."))
    name = known.proposal.id
    print(printable(f"Next: millhand-server retrain accept {name} --by NAME --reason WHY"))


def _answer(chosen: argparse.Namespace, of: Opened) -> None:
    name, wish = chosen.retraining, chosen.act
    state = answered(of, name, wish, by=chosen.by, reason=chosen.reason)
    print(printable(f"{name} is {state}, by {chosen.by}."))


def _witnesses(of: Opened, stream: str, patience_s: float) -> Sequence[Witness]:
    """What gateways say of the bundle that serves, as far as the broker tells it in time."""
    heard = Heard.of(of.retraining)
    link, ends_s = Listening(of.rollouts, heard, ROLE), monotonic() + patience_s
    try:
        while heard.missing and monotonic() < ends_s:
            link.turn(_LOOK_S)
        return heard.witnesses(stream)
    finally:
        link.close()


_ACTS: Final = {
    "list": _list,
    "show": _show,
    "propose": _propose,
    "accept": _answer,
    "decline": _answer,
}
