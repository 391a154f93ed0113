"""What is decided about a rollout, and in which words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

_NAMED: Final = 5
"""Gateways that a sentence names at most."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rollout does next, and on which numbers.

    Attributes:
        action: `open` the next step, `hold`, `done`, `wait`; `rest` where a person is to decide.
        reason: why, in words.
        gate: code of what was asked: `failed`, a statistical gate, `deadline`, `broker`, `nobody`,
            `confirmed`, `soak`, `evidence`; empty where nothing was.
        gateways: the gateways that it is about; those that are missing, where it waits.
        have: what was counted; None where nothing was.
        need: what it is compared with; None where nothing was counted.
        until: when a wait ends at the latest; None where it is no wait.
        settled: since when enough gateways of the open group serve; None while they do not.
    """

    action: Literal["open", "hold", "done", "wait", "rest"]
    reason: str
    gate: str = ""
    gateways: tuple[str, ...] = ()
    have: float | None = None
    need: float | None = None
    until: datetime | None = None
    settled: datetime | None = None


def listed(sentences: Sequence[str]) -> str:
    """Some of many things in words, such as "a, b and 7 more"."""
    shown = ", ".join(sentences[:_NAMED])
    more = len(sentences) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def gateways(count: int) -> str:
    """A number of gateways in words."""
    return f"{count} gateway" if count == 1 else f"{count} gateways"


def moment(at: datetime) -> str:
    """A time of day as sentences write it."""
    return f"{at:%Y-%m-%d %H:%M:%S %Z}"
