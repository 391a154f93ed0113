"""Times are told as dates, as counts or as rows, whichever the recording has."""

from pathlib import Path

import pytest

from tests.kit.pages import Page
from tests.kit.recordings import document, pump_rows, write_csv, write_recipe
from tests.kit.wording import names
from trainer.commands.train import train
from trainer.console import Console
from trainer.dataset.clock import Clock, clock_of
from trainer.dataset.training_rows import training_rows
from trainer.recipe.document import read_recipe

HOUR_NS = 3600 * 10**9
WHOLE_HOURS = {"task": "regression", "remaining": "h", "unit": "cycles"}


def counted(folder: Path, *, first: int = 1, **time: object) -> Path:
    """Six pumps with a count in the column "cycle", and a recipe."""
    lines = [
        (pump, first + cycle, *row[1:3])
        for pump in "abcdef"
        for cycle, row in enumerate(pump_rows(120 + ord(pump) % 7, seed=ord(pump)))
    ]
    write_csv(folder / "pumps.csv", ["pump", "cycle", "pressure", "flow"], lines)
    data = {**document()["data"], "time": time, "asset_column": "pump"}
    return write_recipe(
        folder, data=data, target=WHOLE_HOURS, split={"method": "group", "test": 0.34}
    )


@pytest.mark.parametrize(
    ("first", "time", "kind"),
    [
        (1, {"column": "cycle", "unit": "h"}, "counter"),
        (1, {"column": "cycle", "unit": "h", "origin": "2024-01-01T00:00:00Z"}, "dates"),
        (
            1,
            {"column": "cycle", "unit": "h", "origin": "2024-01-01T00:00:00Z", "counter": True},
            "counter",
        ),
        (1, {"column": "cycle", "unit": "h", "counter": False}, "dates"),
        (482_000, {"column": "cycle", "unit": "h"}, "dates"),
        (1, {"unit": "h"}, "rows"),
        (1, None, "rows"),
    ],
    ids=[
        "counter",
        "counter with an origin",
        "counter by its key",
        "no counter by its key",
        "hours since 1970",
        "rows in order",
        "no time",
    ],
)
def test_kind_of_time(
    tmp_path: Path, first: int, time: dict[str, object] | None, kind: str
) -> None:
    path = counted(tmp_path, first=first, **(time or {"column": "cycle", "unit": "h"}))
    if time is None:
        kept = {"time": None, "asset_column": "pump"}
        target = {"task": "regression", "column": "pressure"}
        path = write_recipe(
            tmp_path,
            data=kept,
            signals=[{"name": "flow"}],
            window={"length": 1},
            target=target,
            split={"method": "group", "test": 0.34},
        )
    recipe = read_recipe(path)
    recording, _ = training_rows(recipe)
    assert clock_of(recording, recipe).kind == kind


@pytest.mark.parametrize(
    ("clock", "moment", "span"),
    [
        (Clock("dates"), "1970-01-06T00:00:00Z", "5 days"),
        (Clock("counter", "cycle", HOUR_NS), "cycle 120", "120 counts of 'cycle'"),
        (Clock("counter", "cycle", HOUR_NS, 20 * HOUR_NS), "cycle 100", "120 counts of 'cycle'"),
        (Clock("rows", unit_ns=HOUR_NS), "row 120", "120 rows"),
    ],
    ids=["dates", "counter", "counter with an origin", "rows"],
)
def test_times_in_words(clock: Clock, moment: str, span: str) -> None:
    assert clock.moment(120 * HOUR_NS) == moment
    assert clock.span(120 * HOUR_NS) == span


def test_counts_are_whole_however_many() -> None:
    clock = Clock("rows")
    assert clock.moment(12_345_678) == "row 12345678"
    assert (clock.span(12_345_678), clock.span(1234.5)) == ("12345678 rows", "1230 rows")


def test_report_on_a_counter_shows_counts_and_no_date(tmp_path: Path) -> None:
    path = counted(tmp_path, column="cycle", unit="h", origin="2024-01-01T00:00:00Z", counter=True)
    outcome = train(read_recipe(path), tmp_path / "out", console=Console())
    page = Page(outcome.bundle.report)
    data = page.section("Data").text
    assert names(data, "cycle 1", "to cycle")
    assert "2024" not in page.section("Data").text + page.section("Split").text
    for title in ("Answer and truth over time", "The split on a time axis"):
        drawn = "".join(one.text for one in page.pictures[title].all("text"))
        assert "cycle" in drawn
        assert not {"2024", "Jan"} & set(drawn.split())
    assert names(page.root.text, "4 counts of 'cycle'")


def test_pause_of_a_counter_is_told_in_counts(tmp_path: Path) -> None:
    lines = [
        (pump, cycle + 500 * (cycle > 60), *row[1:3])
        for pump in "abcdef"
        for cycle, row in enumerate(pump_rows(120, seed=ord(pump)))
    ]
    write_csv(tmp_path / "pumps.csv", ["pump", "cycle", "pressure", "flow"], lines)
    data = {**document()["data"], "time": {"column": "cycle", "unit": "h"}, "asset_column": "pump"}
    path = write_recipe(
        tmp_path, data=data, target=WHOLE_HOURS, split={"method": "group", "test": 0.34}
    )
    outcome = train(read_recipe(path), tmp_path / "out", console=Console())
    (said,) = [note for note in outcome.trained.notes if "window.max_gap_s" in note]
    assert names(said, "1 count of 'cycle'", "501 counts of 'cycle'")
