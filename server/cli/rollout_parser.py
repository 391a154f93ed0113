"""The options of `millhand-server rollout`, which import nothing that has to be installed."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_MOST_S: Final = 3600.0
_HELP: Final = (
    ("plan", "Check a plan, and sign it."),
    ("start", "Begin a rollout whose plan is signed."),
    ("status", "Show the rollouts, or one of them with its gateways."),
    ("hold", "Hold a rollout: no further gateway changes."),
    ("resume", "Let a rollout that is held go on."),
    ("revert", "Bring back on each gateway the bundle that served there before."),
    ("rebuild", "Begin a new ledger from what the registry has signed."),
)


def add_parsers(parser: argparse.ArgumentParser, config: Path) -> None:
    """Add the commands to the parser of `rollout`.

    Args:
        parser: the parser of `millhand-server rollout`.
        config: path of the configuration, where none is given.
    """
    acts = parser.add_subparsers(required=True, metavar="COMMAND", dest="act")
    added = {name: acts.add_parser(name, help=text, description=text) for name, text in _HELP}
    for one in added.values():
        one.add_argument(
            "--config", type=Path, default=config, help=f"the TOML file (default {config})"
        )
    _add_options(added)


def _add_options(added: Mapping[str, argparse.ArgumentParser]) -> None:
    plan = added["plan"]
    plan.add_argument("file", type=Path, help="the plan, a TOML file")
    plan.add_argument("--keys", type=Path, required=True, help="folder with the targets key")
    plan.add_argument("--passphrase-file", type=Path, help="file with the passphrase of the keys")
    plan.add_argument("--bundle", type=Path, help="the bundle, if it is not published yet")
    plan.add_argument(
        "--unchecked", action="store_true", help="do not ask the broker which gateways there are"
    )
    for name in ("start", "hold", "resume", "revert"):
        added[name].add_argument("rollout", help="identity of the rollout")
        added[name].add_argument("--reason", required=name != "start", help="why")
    for name in ("start", "hold", "resume", "revert", "rebuild"):
        added[name].add_argument("--by", required=True, help="name of the person who decides")
    added["status"].add_argument("rollout", nargs="?", help="identity of one rollout")
    for name in ("plan", "status", "hold", "resume", "revert"):
        added[name].add_argument(
            "--wait",
            type=_seconds,
            default=15.0,
            metavar="S",
            help="seconds to wait for the broker",
        )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MOST_S:
        raise argparse.ArgumentTypeError(
            f"'{text[:40]}' is no number of seconds; allowed are 0 to {_MOST_S:g}"
        )
    return seconds
