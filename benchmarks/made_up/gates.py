"""The gates of a rollout on made-up plants: false stops, what is found, and what is let through.

    python -m benchmarks.made_up.gates [--plants 200] [--hours 24] [--coefficient C ...]

Champion and candidate are detectors whose scores share a part of their variance and stay correlated
in time, as an autoregressive process of first order with the given coefficient at one window a
second. The gates look at the evidence every five minutes. A block is as long as the scores stay
correlated, (1 + coefficient) / (1 - coefficient) windows, and a minute at least; a storm is looked
for in the windows of two blocks. The candidates, and the share of windows in which they disagree:

    equal       alarms as often as the champion, in 1 % of the windows; 0.9 %
    x 2.1       alarms 2.1 times as often, since its threshold is lower; 1.6 %
    x 9         alarms nine times as often, since its threshold is lower; 8 %
    moved       alarms nine times as often, since its scores have moved; 8 %
    3 % apart   alarms as often, in 5 % of the windows; 3 %, which is what it may
    6 % apart   alarms as often, in 5 % of the windows; 6 %, twice what it may
"""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.stats import multivariate_normal, norm

from serving.gates.comparing import Comparing
from serving.gates.evidence import Limits
from serving.gates.storm import StormLimits

COEFFICIENTS: Final = (0.0, 0.9, 0.99, 0.999)
LOOK_S: Final = 300
STORM_BLOCKS: Final = 2
FOUND_WITHIN_MIN: Final = 360
BY: Final = ("direction", "disagreement", "rank", "storm")
HEADER: Final = "| coefficient | block | candidate | stopped | within 6 h | median | let through |"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair of detectors.

    Attributes:
        name: what the table calls it.
        rate: share of the windows with an alarm of the champion.
        ratio: alarms of the candidate for one of the champion.
        shared: share of the variance of their scores that both have in common.
        moved: whether it alarms more often because its scores have moved away from those of its
            training, and not because its threshold is lower.
    """

    name: str
    rate: float = 0.01
    ratio: float = 1.0
    shared: float = 0.9
    moved: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Plant:
    """Answers of both models to the windows of a plant.

    Attributes:
        champion: alarms of the champion, `[windows]`.
        candidate: alarms of the candidate, `[windows]`.
        votes: which of them finds a window more unusual, see `serving.gates.votes`, `[windows]`.
    """

    champion: NDArray[np.bool_]
    candidate: NDArray[np.bool_]
    votes: NDArray[np.int8]


def apart(rate: float, share: float) -> float:
    """Shared variance with which two detectors of one rate disagree in a share of the windows."""
    limit = norm.isf(rate)

    def beyond(shared: float) -> float:
        both = multivariate_normal(cov=[[1, shared], [shared, 1]]).cdf([-limit, -limit])
        return 2 * (rate - float(both)) - share

    return float(brentq(beyond, 0.0, 0.999))


CANDIDATES: Final = (
    Candidate("equal"),
    Candidate("x 2.1", ratio=2.1),
    Candidate("x 9", ratio=9.0),
    Candidate("moved", ratio=9.0, moved=True),
    Candidate("3 % apart", rate=0.05, shared=apart(0.05, 0.03)),
    Candidate("6 % apart", rate=0.05, shared=apart(0.05, 0.06)),
)


def plant(candidate: Candidate, coefficient: float, windows: int, seed: int) -> Plant:
    """Answers of both models to so many windows."""
    drawn = np.random.default_rng(seed).standard_normal((3, windows))
    if coefficient:
        start = drawn[:, :1] * coefficient  # the process has begun long ago
        gain = np.sqrt(1 - coefficient**2)
        drawn, _ = lfilter([gain], [1, -coefficient], drawn, axis=1, zi=start)
    common, own = np.sqrt(candidate.shared), np.sqrt(1 - candidate.shared)
    first, second = common * drawn[0] + own * drawn[1], common * drawn[0] + own * drawn[2]
    limit, own_limit = norm.isf(candidate.rate), norm.isf(candidate.rate * candidate.ratio)
    if candidate.moved:
        second, own_limit = second + limit - own_limit, limit
    # Training scores of either model are the same normal numbers, so ranks compare as scores do.
    votes = np.sign(second - first).astype(np.int8)
    return Plant(first > limit, second > own_limit, votes)


@dataclass(slots=True)
class Outcome:
    """What became of the candidates of many plants.

    Attributes:
        ends: how many were stopped, by gate, let through, or left open.
        minutes: minutes until each stop.
    """

    ends: Counter[str] = field(default_factory=Counter)
    minutes: list[float] = field(default_factory=list)

    @property
    def row(self) -> str:
        """Cells of the table: stopped, within six hours, median time, and let through."""
        plants, stops = self.ends.total(), len(self.minutes)
        by = ", ".join(f"{gate} {self.ends[gate]}" for gate in BY if self.ends[gate])
        soon = sum(one <= FOUND_WITHIN_MIN for one in self.minutes)
        median = f"{np.median(self.minutes):.0f} min" if stops else "none"
        through = self.ends["no worse"] / plants
        of = f" ({by})" if by else ""
        return f"{stops / plants:.1%}{of} | {soon / plants:.1%} | {median} | {through:.1%}"


def judged(answers: Plant, block_s: float) -> tuple[str, float]:
    """How a trial ends, and after how many minutes."""
    comparing = Comparing(Limits(block_s=block_s), further=("rank",))
    storm = storm_at(answers, StormLimits(windows=round(STORM_BLOCKS * block_s)))
    windows = len(answers.votes)
    at_ms = np.arange(windows, dtype=np.int64) * 1000
    for at in range(0, windows, LOOK_S):
        part = slice(at, at + LOOK_S)
        if storm is not None and storm < at + LOOK_S:
            return "storm", storm / 60
        comparing.add(
            at_ms[part],
            answers.champion[part],
            answers.candidate[part],
            {"rank": answers.votes[part]},
        )
        verdict = comparing.evidence.verdict
        if verdict in ("worse", "different"):
            return comparing.evidence.tripped[0], (at + LOOK_S) / 60
        if verdict == "no worse":
            return verdict, (at + LOOK_S) / 60
    return "open", windows / 60


def storm_at(answers: Plant, limits: StormLimits) -> int | None:
    """The first window at which it is a storm, as `Storm` finds it; None if there is none."""
    sides = (answers.champion, answers.candidate)
    champion, candidate = (np.cumsum(np.concatenate([[0], side])) for side in sides)
    count = limits.windows
    is_storm = candidate[count:] - candidate[:-count] >= limits.candidate * count
    is_storm &= champion[count:] - champion[:-count] <= limits.champion * count
    (found,) = np.nonzero(is_storm)
    return int(found[0]) + count - 1 if len(found) else None


def measured(candidate: Candidate, coefficient: float, plants: int, hours: float) -> Outcome:
    """Try the gates on many plants."""
    outcome = Outcome()
    for seed in range(plants):
        answers = plant(candidate, coefficient, round(hours * 3600), seed)
        end, minutes = judged(answers, block_of(coefficient))
        outcome.ends[end] += 1
        if end not in ("open", "no worse"):
            outcome.minutes.append(minutes)
    return outcome


def block_of(coefficient: float) -> float:
    """Seconds of a block."""
    return max(60.0, float(np.ceil((1 + coefficient) / (1 - coefficient))))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--plants", type=int, default=200, help="made-up plants of each row")
    parser.add_argument("--hours", type=float, default=24.0, help="hours of each trial")
    parser.add_argument(
        "--coefficient", type=float, nargs="+", default=COEFFICIENTS, help="only these rows"
    )
    options = parser.parse_args()
    print(HEADER)
    print("| --- " * HEADER.count(" |") + "|")
    for coefficient in options.coefficient:
        for candidate in CANDIDATES:
            found = measured(candidate, coefficient, options.plants, options.hours)
            block = f"{block_of(coefficient):.0f} s"
            print(f"| {coefficient:g} | {block} | {candidate.name} | {found.row} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
