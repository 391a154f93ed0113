"""Waiting for something to become true, with a deadline instead of a guess."""

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from tests.kit.errors import KitError

T = TypeVar("T")

_NEVER_SET = Event()
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.05


def eventually(condition: Callable[[], T], timeout_s: float = 10.0, message: str = "") -> T:
    """Call a condition again and again until it returns something true.

    Args:
        condition: the function to call: at least once, and once more after the deadline.
        timeout_s: the deadline, in seconds from now.
        message: what is waited for, in words for the error.

    Returns:
        The first true value that the condition returned.

    Raises:
        KitError: the condition did not become true in time; the error names its last value.
    """
    answer = awaited(condition, timeout_s)
    if not answer:
        what = message or getattr(condition, "__qualname__", "the condition")
        raise KitError(f"not within {timeout_s} s: {what}; last answer {answer!r}")
    return answer


def awaited(condition: Callable[[], T], timeout_s: float) -> T:
    """Do the same without an error: return the last value of the condition, true or not."""
    deadline_s = time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while not (answer := condition()) and time.monotonic() <= deadline_s:
        _NEVER_SET.wait(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    return answer
