"""The soak: whether the agent keeps its size in ten minutes of steady work with swaps of the model.

A swap in each minute stands for one in each hour, so that ten minutes have the swaps of ten hours;
the slope of the memory is per hour of the real clock. Resident memory changes in steps, so that
neighbouring samples are not independent. Therefore the line is fitted to one mean for each swap,
and its standard error comes from these means.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import mean

from chaos.ledger import median
from chaos.plant import TICKS_A_SECOND
from chaos.rig import GATEWAY, Rig, rig
from chaos.traffic import ROWS, WINDOWS, bundle, successor
from tests.kit.bundles.published import Published
from tests.kit.gateway.mqtt_client import push
from tests.kit.waiting import eventually

LIMIT_MB_PER_H = 1.0
PERIOD_S = 60.0
WARM_UP_PERIODS = 2

_SAMPLE_S = 0.5
_SWAP_S = 30.0
_BYTES_A_MB = 1e6
_TWO_SIDED = 2.0  # standard errors of a 95 % interval


@dataclass(frozen=True, slots=True)
class Sample:
    """The size of the agent at one moment.

    Attributes:
        at_s: seconds since the start.
        period: number of swaps before it.
        rss_bytes: resident memory, bytes.
        descriptors: number of open files.
        threads: number of threads.
    """

    at_s: float
    period: int
    rss_bytes: int
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Soaked:
    """The result of a soak.

    Attributes:
        minutes: length of the soak.
        swaps: number of swaps of the model.
        slope_mb_per_h: slope of the resident memory after the warm-up, MB per hour.
        error_mb_per_h: standard error of the slope; None with too few swaps for it.
        rss_mb: first and last mean of the resident memory after the warm-up, MB.
        descriptors: median number of open files in each period after the warm-up.
        threads: median number of threads in each period after the warm-up.
        lost: number of predictions that were lost, phantoms or out of order.
    """

    minutes: float
    swaps: int
    slope_mb_per_h: float
    error_mb_per_h: float | None
    rss_mb: tuple[float, float]
    descriptors: tuple[int, ...]
    threads: tuple[int, ...]
    lost: int

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, and the memory does not grow beyond the limit for certain."""
        is_constant = len({*self.descriptors}) == len({*self.threads}) == 1
        return is_constant and not self.lost and self.word != "too steep"

    @property
    def word(self) -> str:
        """How the slope compares with the limit, at two standard errors."""
        if self.error_mb_per_h is None:
            return "not resolved in this time"
        doubt = _TWO_SIDED * self.error_mb_per_h
        if self.slope_mb_per_h + doubt <= LIMIT_MB_PER_H:
            return "within the limit"
        if self.slope_mb_per_h - doubt > LIMIT_MB_PER_H:
            return "too steep"
        return "not resolved in this time"

    @property
    def line(self) -> str:
        """The result in one line."""
        error = "?" if self.error_mb_per_h is None else f"{self.error_mb_per_h:.2f}"
        return (
            f"soak: {self.minutes:g} minutes, {self.swaps} swaps, {self.lost} lost, "
            f"RSS {self.rss_mb[0]:.1f} to {self.rss_mb[1]:.1f} MB, slope "
            f"{self.slope_mb_per_h:+.2f} +- {error} MB/h "
            f"(limit {LIMIT_MB_PER_H:g}: {self.word}), descriptors {_range(self.descriptors)}, "
            f"threads {_range(self.threads)}"
        )


def soak(folder: Path, minutes: float, progressed: Callable[[float], None]) -> Soaked:
    """Run a site for a while, with swaps of the model.

    Args:
        folder: folder for all files.
        minutes: length of the soak.
        progressed: function that is called with the seconds since the start.
    """
    published = Published.create(folder)
    for one in (bundle(ROWS), successor(), bundle(WINDOWS)):
        published.publish(one)
    # A broker that saves after every change does not keep up where the disk is busy, and the soak
    # is to show the size of the agent.
    with rig(folder, published, autosave_on_changes=False) as site:
        samples = _samples(site, 60.0 * minutes, progressed)
        verdicts = site.finish()
    lost = sum(one.lost + one.phantom + one.out_of_order for one in verdicts.values())
    return _soaked(minutes, samples, lost)


def _soaked(minutes: float, samples: Sequence[Sample], lost: int) -> Soaked:
    kept = [sample for sample in samples if sample.period >= WARM_UP_PERIODS] or samples
    periods = sorted({sample.period for sample in kept})
    means = [_means([one for one in kept if one.period == period]) for period in periods]
    slope, error = line_through(means)
    per_hour = 3600 / _BYTES_A_MB
    return Soaked(
        minutes,
        max(sample.period for sample in samples),
        slope * per_hour,
        None if error is None else error * per_hour,
        (means[0][1] / _BYTES_A_MB, means[-1][1] / _BYTES_A_MB),
        tuple(_usual([s.descriptors for s in kept if s.period == one]) for one in periods),
        tuple(_usual([s.threads for s in kept if s.period == one]) for one in periods),
        lost,
    )


def line_through(points: Sequence[tuple[float, float]]) -> tuple[float, float | None]:
    """Fit a line by least squares; return its slope and standard error, None for two points."""
    if len(points) < 2:  # noqa: PLR2004  a line needs two
        return 0.0, None
    middle_x, middle_y = mean(x for x, _ in points), mean(y for _, y in points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
    if len(points) == 2:  # noqa: PLR2004  as above
        return slope, None
    rest = sum((y - middle_y - slope * (x - middle_x)) ** 2 for x, y in points)
    return slope, sqrt(rest / (len(points) - 2) / spread)


def _samples(site: Rig, seconds: float, progressed: Callable[[float], None]) -> list[Sample]:
    started, samples, period = time.monotonic(), [], 0
    process = site.gateway.process
    assert process is not None
    while (gone_s := time.monotonic() - started) < seconds:
        if gone_s >= (period + 1) * PERIOD_S:
            period += 1
            _swap(site, seq=1 + period % 2)
        samples.append(_sample(process.pid, time.monotonic() - started, period))
        progressed(gone_s)
        site.plant.pass_ticks(round(_SAMPLE_S * TICKS_A_SECOND))
    return samples


def _swap(site: Rig, seq: int) -> None:
    activity = push(site.scada, ROWS, seq, GATEWAY)
    eventually(
        lambda: site.scada.current.get(ROWS, {}).get("activity") == activity,
        _SWAP_S,
        f"the agent to serve {ROWS} {seq}",
    )


def _sample(pid: int, at_s: float, period: int) -> Sample:
    folder = Path(f"/proc/{pid}")
    status = dict(
        line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
    )
    return Sample(
        at_s,
        period,
        int(status["VmRSS"].split()[0]) * 1024,
        len(list((folder / "fd").iterdir())),
        int(status["Threads"]),
    )


def _means(samples: Sequence[Sample]) -> tuple[float, float]:
    return mean(one.at_s for one in samples), mean(one.rss_bytes for one in samples)


def _usual(counts: Sequence[int]) -> int:
    return round(median(counts))


def _range(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return str(least) if least == most else f"{least} to {most}"
