"""`data.where`: which rows are left out, and what is said about them."""

from pathlib import Path

import pytest

from tests.kit.recordings import recipe, write_csv
from tests.kit.wording import names
from trainer.errors import DataError, RecipeError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

HEADER = ["time", "pressure", "flow", "mode", "Load (kW)"]
ROWS = [
    ("2025-03-01T00:00:00Z", 1.5, 30.5, "auto", 5),
    ("2025-03-01T00:00:01Z", 2.5, 31.5, "manual", 50),
    ("2025-03-01T00:00:02Z", 3.5, 32.5, "auto", 50),
    ("2025-03-01T00:00:03Z", 4.5, 33.5, "", ""),
    ("2025-03-01T00:00:04Z", 5.5, 34.5, "test", 20),
]


def read(folder: Path, **data: object) -> Recording:
    description = recipe(folder, data=data)
    return load(description.data, description.signals)


def refusal(folder: Path, **data: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, **data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("where", "lines"),
    [
        ('mode == "auto"', [2, 4]),
        ("mode == 'auto' and `Load (kW)` > 10", [4]),
        ('mode in ["manual", "test"]', [3, 6]),
        ('mode not in ["manual", "test"]', [2, 4, 5]),
        ("pressure + flow <= 34", [2, 3]),
        ("2 < pressure < 5", [3, 4, 5]),
        ('not (mode == "auto" or pressure > 5)', [3, 5]),
        ("`Load (kW)` != -50", [2, 3, 4, 6]),
        ('`Load (kW)` > 100 or mode == ""', [5]),
        ("not `Load (kW)` > 10", [2]),
        ("sqrt(pressure) >= 2", [5, 6]),
    ],
    ids=[
        "text",
        "text and number",
        "one of several",
        "none of several",
        "arithmetic",
        "chain",
        "neither nor",
        "negative number",
        "no text",
        "missing number decides nothing",
        "function",
    ],
)
def test_rows_that_meet_the_condition_are_kept(
    where: str, lines: list[int], tmp_path: Path
) -> None:
    write_csv(tmp_path / "a.csv", HEADER, ROWS)
    recording = read(tmp_path, where=where)
    assert recording.line.tolist() == lines


def test_rows_left_out_are_counted_with_those_of_a_missing_number(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, ROWS)
    (note,) = read(tmp_path, where="`Load (kW)` > 10").notes
    assert names(note, "data.where", "2 of 5 rows", "1 of them", "window.max_gap_s")


def test_text_among_the_numbers_of_a_row_left_out_is_no_error(tmp_path: Path) -> None:
    rows = [*ROWS, ("2025-03-01T00:00:05Z", "service", 34.5, "off", 20)]
    write_csv(tmp_path / "a.csv", HEADER, rows)
    assert len(read(tmp_path, where='mode != "off"')) == 5


def test_rows_an_hour_apart_keep_their_times(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, ROWS)
    recording = read(tmp_path, where='mode == "auto"', time={"unit": "h"})
    assert (recording.times_ns // (3600 * 10**9)).tolist() == [0, 2]


def test_condition_that_no_row_meets_is_told_with_the_texts_that_are_there(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, ROWS)
    told = refusal(tmp_path, where='mode == "Auto"')
    assert names(told, "data.where", "all 5 rows", "column 'mode' has auto, manual, test")


def test_column_that_is_not_there_is_told(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, ROWS)
    assert names(refusal(tmp_path, where="modus == 'auto'"), "no column modus", "'mode'")


def test_text_in_a_column_that_is_compared_with_a_number_is_told(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, ROWS)
    assert names(refusal(tmp_path, where="mode > 1"), "a.csv line 2", "'mode'", "found 'auto'")


@pytest.mark.parametrize(
    "where",
    [
        "mode = 'auto'",
        "mode",
        "1 < 2",
        "mode == load == 'auto'",
        "__import__('os').system('true') == 1",
        "pressure.real > 1",
        "pressure > 1 if flow else 2",
        "mode in other",
        "`` > 1",
        "a" * 501 + " > 1",
        " and ".join(["a > 1"] * 48),
    ],
    ids=[
        "assignment",
        "no comparison",
        "no column",
        "text in a chain",
        "call",
        "attribute",
        "choice",
        "list by name",
        "empty name",
        "too long",
        "too many parts",
    ],
)
def test_what_is_no_condition_is_refused_with_its_key(where: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path, data={"where": where})
    assert "data.where" in str(caught.value)
