"""The trials of one fault: it strikes a site of its own a number of times."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from chaos.faults import Fault
from chaos.ledger import Verdict, median
from chaos.rig import Rig, rig
from chaos.traffic import STREAMS
from tests.kit.waiting import eventually

_BETWEEN_TICKS = (4, 25)


@dataclass
class Row:
    """What a fault did to one stream.

    Attributes:
        fault: title of the fault.
        stream: name of the stream.
        trials: number of strikes.
        verdict: what became of the predictions; None where the trial ended before.
        given_up: number of predictions that never came and that the agent has counted as dropped,
            where the fault allows that.
        undelivered: number of readings that the broker confirmed to the plant and then lost.
        recoveries_s: seconds from each strike to the next prediction of a newer reading.
        wrong: what else went wrong, one line each.
    """

    fault: str
    stream: str
    trials: int = 0
    verdict: Verdict | None = None
    given_up: int = 0
    undelivered: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, phantom or out of order; repetitions are allowed."""
        found = self.verdict
        if found is None or self.wrong or not self.trials:
            return False
        return not (found.lost > self.given_up or found.phantom or found.out_of_order)

    def cells(self) -> tuple[str, ...]:
        """The cells of the row in the table."""
        found = self.verdict
        counts: tuple[object, ...] = ("",) * 7
        if found is not None:
            counts = (
                found.expected,
                found.lost - self.given_up,
                self.given_up,
                found.phantom,
                found.repeated,
                found.out_of_order,
                found.broker_lost + self.undelivered,
            )
        took = self.recoveries_s
        times = (f"{median(took):.2f}", f"{max(took):.2f}") if took else ("", "")
        words = (self.fault, self.stream, str(self.trials))
        return (*words, *map(str, counts), *times, "" if self.is_good else "BROKEN")

    def document(self) -> dict[str, Any]:
        """The row in the JSON file."""
        return {**asdict(self), "is_good": self.is_good}


def run(
    fault: Fault, trials: int, seed: int, folder: Path, progressed: Callable[[int], None]
) -> list[Row]:
    """Let a fault strike a site.

    Args:
        fault: the fault.
        trials: number of strikes.
        seed: seed of the moments.
        folder: folder for all files.
        progressed: function that is called after each strike with the number of strikes so far.

    Returns:
        One row for each stream.
    """
    rows = {stream: Row(fault.title, stream) for stream in STREAMS}
    try:
        with rig(folder, setup=fault.setup, **fault.options) as site:
            try:
                _strike(fault, site, rows, Random(seed), trials, progressed)
            except AssertionError as exc:
                _note(rows, str(exc))
            _conclude(fault, site, rows)
    except AssertionError as exc:
        _note(rows, str(exc))
    return [*rows.values()]


def _strike(  # noqa: PLR0913, PLR0917  the loop over everything that takes part
    fault: Fault,
    site: Rig,
    rows: dict[str, Row],
    dice: Random,
    trials: int,
    progressed: Callable[[int], None],
) -> None:
    hits = 0
    for number in range(trials):
        site.plant.pass_ticks(dice.randrange(*_BETWEEN_TICKS))
        struck = fault.strike(site, dice, number)
        progressed(number + 1)
        if struck is None:
            continue
        hits += 1
        for stream, took_s in site.recovered(struck.at_s, struck.mark_ms).items():
            rows[stream].trials += 1
            rows[stream].recoveries_s.append(took_s)
    fault.check(site, hits)


def _conclude(fault: Fault, site: Rig, rows: dict[str, Row]) -> None:
    for stream, verdict in site.finish().items():
        rows[stream].verdict = verdict
        rows[stream].undelivered = site.undelivered[stream]
    if fault.gives_up:
        _excuse(site, rows, fault.gives_up)
    # The agent acknowledges the readings of predictions that it gives up.
    premature = site.wire.premature - sum(row.given_up for row in rows.values())
    if premature or site.wire.stale:
        _note(rows, f"{premature} acks too early, {site.wire.stale} of an older connection")


def _excuse(site: Rig, rows: dict[str, Row], reason: str) -> None:
    """Check that the agent has counted exactly the predictions that never came."""
    for row in rows.values():
        row.given_up = row.verdict.lost if row.verdict is not None else 0
    lost = sum(row.given_up for row in rows.values())
    eventually(
        lambda: site.scada.dropped(reason) == lost,
        message=f"{lost} never came, and the agent to count as many as {reason}",
    )


def _note(rows: dict[str, Row], what: str) -> None:
    first, *_ = what.splitlines() or ["an assertion without words"]
    for row in rows.values():
        row.wrong.append(first)
