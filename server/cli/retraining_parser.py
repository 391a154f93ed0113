"""The options of `millhand-server retrain`, which import nothing that has to be installed."""

import argparse
from pathlib import Path
from typing import Final

_HELP: Final = (
    ("list", "Show all proposals, the newest first."),
    ("show", "Show a proposal with its figures, its result and its ledger."),
    ("propose", "Propose to train the model of a stream again."),
    ("accept", "Have a model trained as it was proposed."),
    ("decline", "Have nothing come of a proposal."),
)


def add_parsers(parser: argparse.ArgumentParser, config: Path) -> None:
    """Add the commands to the parser of `retrain`.

    Args:
        parser: the parser of `millhand-server retrain`.
        config: path of the configuration, where none is given.
    """
    acts = parser.add_subparsers(required=True, metavar="COMMAND", dest="act")
    added = {name: acts.add_parser(name, help=text, description=text) for name, text in _HELP}
    for one in added.values():
        one.add_argument(
            "--config", type=Path, default=config, help=f"the TOML file (default {config})"
        )
    for name in ("show", "accept", "decline"):
        added[name].add_argument("retraining", help="identity of the proposal")
    for name in ("propose", "accept", "decline"):
        added[name].add_argument("--by", required=True, help="name of the person who decides")
        added[name].add_argument("--reason", required=True, help="why")
    for name in ("list", "show"):
        added[name].add_argument("--json", action="store_true", help="print JSON")
    added["propose"].add_argument("stream", help="name of the stream")
    added["propose"].add_argument(
        "--wait", type=float, default=15.0, metavar="S", help="seconds to wait for the broker"
    )
