"""The gates of a rollout on made-up plants: false stops, what is found, and what is let through.

    python -m benchmarks.made_up.gates [--plants 200] [--hours 24]

Champion and candidate are detectors whose scores share a part of their variance and stay correlated
in time, as an autoregressive process of first order with the given coefficient at one window a
second. The gates look at the evidence every five minutes. A block is as long as the scores stay
correlated, (1 + coefficient) / (1 - coefficient) windows, and a minute at least; a storm is looked
for in the windows of two blocks. Four candidates:

    equal       alarms as often as the champion, in 1 % of the windows, and disagrees in about 1 %
    x 2.1       alarms 2.1 times as often
    x 9         alarms nine times as often
    6 % apart   alarms as often, in 5 % of the windows, and disagrees in 6 %, twice what it may
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
from serving.gates.storm import Storm, StormLimits

COEFFICIENTS: Final = (0.0, 0.9, 0.99, 0.999)
LOOK_S: Final = 300
STORM_BLOCKS: Final = 2
FOUND_WITHIN_MIN: Final = 360
HEADER: Final = "| coefficient | block | candidate | stopped | within 6 h | median | let through |"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair of detectors.

    Attributes:
        name: what the table calls it.
        rate: share of the windows with an alarm of the champion.
        ratio: alarms of the candidate for one of the champion.
        shared: share of the variance of their scores that both have in common.
    """

    name: str
    rate: float = 0.01
    ratio: float = 1.0
    shared: float = 0.9


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
    Candidate("6 % apart", rate=0.05, shared=apart(0.05, 0.06)),
)


def alarms(
    candidate: Candidate, coefficient: float, windows: int, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Alarms of champion and candidate, each `[windows]`."""
    drawn = np.random.default_rng(seed).standard_normal((3, windows))
    if coefficient:
        start = drawn[:, :1] * coefficient  # the process has begun long ago
        gain = np.sqrt(1 - coefficient**2)
        drawn, _ = lfilter([gain], [1, -coefficient], drawn, axis=1, zi=start)
    common, own = np.sqrt(candidate.shared), np.sqrt(1 - candidate.shared)
    first, second = common * drawn[0] + own * drawn[1], common * drawn[0] + own * drawn[2]
    return (
        first > norm.isf(candidate.rate),
        second > norm.isf(candidate.rate * candidate.ratio),
    )


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
        by = ", ".join(
            f"{gate} {self.ends[gate]}" for gate in ("direction", "disagreement", "storm")
        )
        soon = sum(one <= FOUND_WITHIN_MIN for one in self.minutes)
        median = f"{np.median(self.minutes):.0f} min" if stops else "none"
        through = self.ends["no worse"] / plants
        return f"{stops / plants:.1%} ({by}) | {soon / plants:.1%} | {median} | {through:.1%}"


def judged(
    champion: NDArray[np.bool_], candidate: NDArray[np.bool_], block_s: float
) -> tuple[str, float]:
    """How a trial ends, and after how many minutes."""
    comparing = Comparing(Limits(block_s=block_s))
    storm = Storm(StormLimits(windows=round(STORM_BLOCKS * block_s)))
    at_ms = np.arange(len(champion), dtype=np.int64) * 1000
    for at in range(0, len(champion), LOOK_S):
        part = slice(at, at + LOOK_S)
        for row, pair in enumerate(
            zip(champion[part].tolist(), candidate[part].tolist(), strict=True)
        ):
            if storm.add(champion=pair[0], candidate=pair[1]):
                return "storm", (at + row) / 60
        comparing.add(at_ms[part], champion[part], candidate[part])
        evidence = comparing.evidence
        if evidence.verdict == "worse":
            return evidence.tripped[0], (at + LOOK_S) / 60
        if evidence.verdict == "no worse":
            return "no worse", (at + LOOK_S) / 60
    return "open", len(champion) / 60


def measured(candidate: Candidate, coefficient: float, plants: int, hours: float) -> Outcome:
    """Try the gates on many plants."""
    outcome = Outcome()
    for seed in range(plants):
        pair = alarms(candidate, coefficient, round(hours * 3600), seed)
        end, minutes = judged(*pair, block_of(coefficient))
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
    options = parser.parse_args()
    print(HEADER)
    print("| --- " * HEADER.count(" |") + "|")
    for coefficient in COEFFICIENTS:
        for candidate in CANDIDATES:
            found = measured(candidate, coefficient, options.plants, options.hours)
            block = f"{block_of(coefficient):.0f} s"
            print(f"| {coefficient:g} | {block} | {candidate.name} | {found.row} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
