"""Files that write day and month in different orders are read as the recipe says, or prove it."""

from pathlib import Path

import pytest

from tests.kit.recordings import recipe, write_csv
from tests.kit.wording import names
from trainer.errors import DataError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

HEADER = ["time", "pressure", "flow"]


def write(folder: Path, name: str, *stamps: str) -> None:
    # Each file has values of its own, because a second file with the same bytes is refused.
    write_csv(folder / name, HEADER, [(stamp, ord(name[0]), 2) for stamp in stamps], ";")


def read(folder: Path, **time: object) -> Recording:
    description = recipe(folder, data={"time": {"column": "time", **time}})
    return load(description.data, description.signals)


def refusal(folder: Path, **time: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, **time)
    return str(caught.value)


def days(recording: Recording) -> list[str]:
    return [str(stamp) for stamp in recording.times_ns.astype("datetime64[ns]").astype("M8[D]")]


def test_files_in_two_orders_are_told_the_key_to_write(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "13/04/2025")
    write(tmp_path, "b.csv", "04/14/2025")
    assert names(refusal(tmp_path), "a.csv", "b.csv", "04/14/2025", 'day_first = "proved"')


def test_order_that_no_row_decides_is_told_the_key_to_write(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "03/04/2025", "04/04/2025")
    assert names(refusal(tmp_path), "a.csv", "03/04/2025", 'day_first = "proved"')


@pytest.mark.parametrize(
    ("first", "found"), [(True, "2025-04-03"), (False, "2025-03-04")], ids=["day", "month"]
)
def test_order_that_the_recipe_says_is_taken_and_said(
    tmp_path: Path, *, first: bool, found: str
) -> None:
    write(tmp_path, "a.csv", "03/04/2025 10:00")
    recording = read(tmp_path, day_first=first)
    assert days(recording) == [found]
    assert names(recording.notes, "day" if first else "month", "data.time.day_first")


def test_order_may_be_said_by_the_names_of_files(tmp_path: Path) -> None:
    write(tmp_path, "de_1.csv", "03/04/2025")
    write(tmp_path, "us_1.csv", "04/05/2025")
    recording = read(tmp_path, day_first={"us_*": False, "*": True})
    assert days(recording) == ["2025-04-03", "2025-04-05"]


def test_file_that_no_pattern_fits_is_told_with_the_line_to_add(tmp_path: Path) -> None:
    write(tmp_path, "de_1.csv", "03/04/2025")
    assert names(refusal(tmp_path, day_first={"us_*": False}), "de_1.csv", '"de_1.csv" = true')


def test_date_against_the_order_of_its_file_is_told_with_its_row(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "03/04/2025", "04/13/2025")
    said = refusal(tmp_path, day_first=True)
    assert names(said, "a.csv line 3", "04/13/2025", 'day_first = { "a.csv" = false }')


def test_every_file_may_prove_its_order_by_a_day_above_12(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "03/04/2025", "13/04/2025")
    write(tmp_path, "b.csv", "04/05/2025", "04/14/2025")
    recording = read(tmp_path, day_first="proved")
    assert days(recording) == ["2025-04-03", "2025-04-05", "2025-04-13", "2025-04-14"]
    assert names(recording.notes, "a.csv", "day first", "13/04/2025")
    assert names(recording.notes, "b.csv", "month first", "04/14/2025")


def test_dates_that_go_back_in_the_other_order_prove_it(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "12/03/2025 23:00", "01/04/2025 01:00", "02/04/2025 01:00")
    recording = read(tmp_path, day_first="proved")
    assert days(recording) == ["2025-03-12", "2025-04-01", "2025-04-02"]
    assert names(recording.notes, "a.csv", "day first", "line 3")


@pytest.mark.parametrize(
    ("stamps", "found"),
    [
        (["03/04/2025", "04/04/2025"], "neither order"),
        (["12/03/2025", "01/04/2025", "03/03/2025"], "both orders"),
    ],
    ids=["never back", "back in both"],
)
def test_file_that_proves_nothing_is_told_the_line_to_write(
    tmp_path: Path, stamps: list[str], found: str
) -> None:
    write(tmp_path, "a.csv", *stamps)
    assert names(refusal(tmp_path, day_first="proved"), found, 'day_first = { "a.csv" = true }')


def test_both_orders_in_one_file_are_told_with_both_rows(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "13/04/2025", "04/14/2025")
    said = refusal(tmp_path, day_first="proved")
    assert names(said, "line 2", "13/04/2025", "line 3", "04/14/2025")


def test_dates_that_cannot_be_mistaken_need_no_order(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "2025-04-03T00:00:00Z")
    write(tmp_path, "b.csv", "04-Apr-2025")
    assert days(read(tmp_path, day_first="proved")) == ["2025-04-03", "2025-04-04"]
