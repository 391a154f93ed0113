"""Verdicts on what millhand promises, from the ledger, the detection and the swap of the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from demo.promises.agreement import Agreement
from demo.promises.detection import Detection
from demo.promises.ledger import Ledger


@dataclass(slots=True)
class Swap:
    """When a version was pushed and served; times are seconds of the monotonic clock.

    Args:
        seq: number of the bundle.
        pushed_s: when the desired state was received from the broker; None: not yet.
        serving_s: when the agent announced that it serves the version; None: not yet.
        first_s: when the first prediction of the version was received; None: not yet.
    """

    seq: int
    pushed_s: float | None = None
    serving_s: float | None = None
    first_s: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One promise, whether it was kept, and the numbers that show it."""

    promise: str
    kept: bool
    numbers: str


def verdicts(ledger: Ledger, detection: Detection, swap: Swap | None) -> list[Verdict]:
    """Return the verdicts at the end of the demo; `swap` is None where no swap was due."""
    return [
        _nothing_lost(ledger),
        _once_and_in_order(ledger),
        _quality_shown(ledger),
        _faults_found(detection),
        *([_swapped(ledger, swap)] if swap else []),
    ]


def agreed(agreement: Agreement) -> Verdict:
    """Return whether HTTP gave the predictions of MQTT for the same readings."""
    numbers = f"{agreement.compared} predictions asked again over HTTP, equal to the bit"
    if agreement.differing:
        numbers = "\n".join([f"{len(agreement.differing)} fields differ", *agreement.differing[:3]])
    kept = agreement.compared > 0 and not agreement.differing
    return Verdict("the same answer over HTTP", kept, numbers)


def latency_numbers(latencies_s: Sequence[float]) -> str:
    """Return the median and the 99th percentile in ms."""
    if len(latencies_s) < 2:  # noqa: PLR2004 - quantiles need two
        return "not measured"
    p99_s = quantiles(latencies_s, n=100)[-1]
    return f"median {1000 * median(latencies_s):.1f} ms, p99 {1000 * p99_s:.1f} ms"


def _nothing_lost(ledger: Ledger) -> Verdict:
    # At the end of the demo an input that still waits gets no answer any more.
    lost = ledger.waiting
    numbers = f"{ledger.sent} sent, {ledger.due} due, {ledger.answered} answered, {lost} lost"
    return Verdict("nothing lost", ledger.answered > 0 and lost == 0, numbers)


def _once_and_in_order(ledger: Ledger) -> Verdict:
    broken = ledger.broken
    numbers = (
        f"{broken['reordered']} out of order, {broken['unasked']} answered twice or unasked, "
        f"{ledger.repeated} redelivered under their old id"
    )
    return Verdict("once and in order", not broken["reordered"] + broken["unasked"], numbers)


def _quality_shown(ledger: Ledger) -> Verdict:
    hidden = ledger.broken["hidden"]
    numbers = f"{ledger.incomplete} inputs lacked a signal, {hidden} of their predictions were GOOD"
    return Verdict("a missing signal is reported", not hidden, numbers)


def _faults_found(detection: Detection) -> Verdict:
    found = [
        f"{episode.condition.replace('_', ' ')} of {episode.asset} "
        f"after {episode.found_after_ms / 1000:.1f} s"
        for episode in detection.episodes
        if episode.found_after_ms is not None
    ]
    missed = [f"{episode.condition} of {episode.asset} MISSED" for episode in detection.missed]
    share = detection.agreed / detection.compared if detection.compared else 0.0
    numbers = "\n".join([*missed, *found[-5:], f"{share:.1%} of all predictions were true"])
    return Verdict("faults found while they last", not missed, numbers)


def _swapped(ledger: Ledger, swap: Swap) -> Verdict:
    name = "swapped under load"
    if swap.pushed_s is None or swap.serving_s is None or swap.first_s is None:
        return Verdict(name, kept=False, numbers=f"version {swap.seq} never served")
    broken = ledger.broken
    changed_once = max(ledger.version_changes.values(), default=0) == 1
    kept = changed_once and not broken["version_back"] + broken["outdated"]
    numbers = (
        f"push to serving {1000 * (swap.serving_s - swap.pushed_s):.0f} ms, "
        f"first prediction after {1000 * (swap.first_s - swap.pushed_s):.0f} ms\n"
        f"{broken['outdated']} predictions by the old version afterwards, "
        f"{broken['version_back']} steps back"
    )
    return Verdict(name, kept, numbers)
