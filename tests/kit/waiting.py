"""Waiting for something to become true, with a deadline instead of a guess."""

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

T = TypeVar("T")

_NEVER_SET = Event()
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.05


def eventually(condition: Callable[[], T], timeout_s: float = 10.0, message: str = "") -> T:
    """Ask `condition` again and again until its answer is true.

    Args:
        condition: asked at least once, and once more after the deadline.
        timeout_s: the deadline, seconds from now.
        message: what was waited for.

    Returns:
        The first true answer.

    Raises:
        AssertionError: it did not become true in time; names the last answer.
    """
    deadline = time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while not (answer := condition()):
        if time.monotonic() > deadline:
            what = message or getattr(condition, "__qualname__", "the condition")
            raise AssertionError(f"not within {timeout_s} s: {what}; last answer {answer!r}")
        _NEVER_SET.wait(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    return answer
