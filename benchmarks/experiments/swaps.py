"""The pause in the answers while models are swapped under load.

The load generator writes down when each answer came, and from which model. A swap is complete with
the first answer of the new model. Its pause is the longest time between two answers from the push
until a while after that answer. The pauses in as much time without a swap are usual on this
machine.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.contenders.millhand import GATEWAY
from benchmarks.errors import BenchmarkError
from benchmarks.load.workload import ROWS
from models.control.topics import ControlTopics
from tests.kit.gateway.mqtt_client import PlantClient, push
from tests.kit.waiting import awaited

_CURRENT = ControlTopics(GATEWAY).current(ROWS.stream)
_SEQS = (1, 2)  # the bundles that prepare.py publishes; the agent starts with the newest
_QUIET_S, _BETWEEN_S = 2.0, 0.5
_LONGEST_S = 5.0
_AFTER_NS = 100_000_000
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Push:
    """The push of one model: number of the bundle, and time on the monotonic clock."""

    seq: int
    at_ns: int


def push_in_turns(port: int, seconds: float) -> list[Push]:
    """Push one model after the other for about `seconds`, after a while without a push.

    Raises:
        KitError: a model did not serve in time, or the broker cannot be reached.
    """
    end_s = time.monotonic() + seconds
    pushes: list[Push] = []
    with PlantClient(port, [_CURRENT]) as client:
        time.sleep(_QUIET_S)
        while time.monotonic() < end_s - _LONGEST_S:
            pushes.append(_pushed(client, _SEQS[len(pushes) % len(_SEQS)]))
            time.sleep(_BETWEEN_S)
    return pushes


def _pushed(client: PlantClient, seq: int) -> Push:
    pushed = Push(seq, time.monotonic_ns())
    activity = push(client, ROWS.stream, seq, GATEWAY)

    def serves() -> bool:
        current = client.latest(_CURRENT) or {}
        return (current.get("seq"), current.get("activity")) == (seq, activity)

    if not awaited(serves, _LONGEST_S):
        raise BenchmarkError(f"seq {seq} does not serve {_LONGEST_S:g} s after its push")
    return pushed


def figures(trace: Path, pushes: Sequence[Push]) -> dict[str, float]:
    """Return the pauses of one step's swaps.

    Returns:
        `swaps`: number of swaps; `swap_s`: seconds from a push to the first answer (median);
        `usual_ms`: longest pause in as much time without a swap (median); `gap_ms` and
        `worst_gap_ms`: how much longer the longest pause of a swap is (median, most).

    Raises:
        BenchmarkError: a model did not answer, or swaps took longer than the time without one.
    """
    answers = [tuple(map(int, line.split())) for line in trace.read_text().splitlines()]
    firsts = _first_answers(answers, pushes)
    times = [at_ns for at_ns, _ in answers]
    stretches = [
        (push.at_ns, first + _AFTER_NS) for push, first in zip(pushes, firsts, strict=True)
    ]
    length = round(median(end - start for start, end in stretches))
    quiet = range(times[0], pushes[0].at_ns - length, length)
    if not quiet:
        raise BenchmarkError(f"a swap took {length / 1e9:.1f} s; {_QUIET_S:g} s are without one")
    usual = median(_longest_pause(times, start, start + length) for start in quiet)
    gaps = [max(0.0, _longest_pause(times, *stretch) - usual) / 1e6 for stretch in stretches]
    return {
        "swaps": len(pushes),
        "swap_s": (length - _AFTER_NS) / _NS_PER_S,
        "usual_ms": usual / 1e6,
        "gap_ms": median(gaps),
        "worst_gap_ms": max(gaps),
    }


def _first_answers(answers: Sequence[Sequence[int]], pushes: Sequence[Push]) -> list[int]:
    """The time of the first answer of each pushed model."""
    found = (
        next((at for at, seq in answers if at > push.at_ns and seq == push.seq), 0)
        for push in pushes
    )
    firsts = list(found)
    if not firsts or 0 in firsts:
        raise BenchmarkError(f"{len(pushes)} pushes; not every model answered: {firsts}")
    return firsts


def _longest_pause(times: Sequence[int], start: int, end: int) -> int:
    return max((b - a for a, b in pairwise(times) if b >= start and a <= end), default=0)
