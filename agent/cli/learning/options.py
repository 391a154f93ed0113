"""The options of `millhand-agent learn`. Only what every command may import is imported here."""

import argparse
from pathlib import Path
from typing import Final

SECONDS: Final = 60.0
_MAX_SECONDS: Final = 86_400.0
_MAX_COUNT: Final = 100_000_000


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    add = parser.add_argument
    add(
        "filters",
        nargs="*",
        default=["#"],
        metavar="FILTER",
        type=_filter,
        help="topic filters to listen to, with + and #; default # (all topics)",
    )
    add("--seconds", type=_seconds, default=SECONDS, help=f"how long; default {SECONDS:g}")
    add("--bundle", metavar="FILE|STREAM", help="draft for this model: a file, or a stream")
    add("--stream", help="name of the pipeline's stream, if no bundle has one")
    add("--recipe", type=Path, metavar="FILE", help="also write this part of a recipe")
    broker = parser.add_argument_group("broker", "in place of [broker] of the configuration")
    broker.add_argument("--broker", metavar="HOST[:PORT]", help="address; default port 1883")
    broker.add_argument("--username", help="name to log in with")
    broker.add_argument("--password-file", type=Path, help="file with the password")
    broker.add_argument("--ca-file", type=Path, help="use TLS, and trust this authority (PEM)")
    parser.add_argument(
        "--interrupt",
        action="store_true",
        help="listen even if that may interrupt the connection of a running agent",
    )
    limits = parser.add_argument_group("limits")
    for name, default, text in (
        ("messages", 1_000_000, "messages after which the listening ends"),
        ("megabytes", 1_024, "MiB of payloads after which the listening ends"),
        ("topics", 10_000, "topics that are looked at; further ones are counted"),
        ("memory", 64, "MiB of payloads that are kept at once"),
    ):
        limits.add_argument(f"--{name}", type=_count, default=default, help=f"{text}; {default}")


def _filter(text: str) -> str:
    """A topic filter (MQTT 5, 4.7.1)."""
    levels = text.split("/")
    wild = [level for level in levels if "+" in level or "#" in level]
    is_formed = all(level in ("+", "#") for level in wild) and "#" not in levels[:-1]
    if not text or "\x00" in text or not is_formed or text.startswith("$share/"):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no topic filter: + stands for one whole level, and # for all that follow"
        )
    return text


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= _MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"'{text}': allowed is above 0, up to {_MAX_SECONDS:g}")
    return seconds


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= _MAX_COUNT:
        raise argparse.ArgumentTypeError(f"'{text}': a whole number from 1 to {_MAX_COUNT}")
    return count
