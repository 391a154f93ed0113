"""Workbooks: which sheet is read from where, and what its cells become."""

import sys
from datetime import datetime, time
from pathlib import Path

import numpy as np
import pytest

from tests.kit.recordings import recipe, write_csv
from tests.kit.sources.workbooks import Fault, write_workbook
from tests.kit.wording import names
from trainer.errors import DataError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

HEADER: list[object] = ["time", "pressure", "flow"]
START = datetime(2025, 3, 1)  # noqa: DTZ001  a workbook knows no time zone
START_NS = 1_740_787_200 * 10**9
ROWS: list[list[object]] = [[START, 4, 1.297], [START.replace(hour=13, second=7), 4.5, 784]]


def read(folder: Path, **data: object) -> Recording:
    description = recipe(folder, data={"files": ["*.xls*"], **data})
    return load(description.data, description.signals, texts=["state"] if "state" in data else [])


def refusal(folder: Path, **data: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, **data)
    return str(caught.value)


def test_numbers_and_moments_keep_their_types(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", {"Data": [HEADER, *ROWS]})
    recording = read(tmp_path)
    assert recording.values.tolist() == [[4.0, 1.297], [4.5, 784.0]]
    assert recording.times_ns.tolist() == [START_NS, START_NS + (13 * 3600 + 7) * 10**9]
    assert recording.notes == ()


def test_times_are_in_the_zone_of_the_recipe(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", {"Data": [HEADER, *ROWS]})
    recording = read(tmp_path, time={"column": "time", "zone": "Europe/Berlin"})
    assert recording.times_ns[0] == START_NS - 3600 * 10**9


def test_titles_units_empty_rows_and_columns_are_left_out_and_said(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        [],
        [None, "Report of the pump"],
        [],
        [None, *HEADER],
        [None, None, "bar", "m3/h"],
    ]
    rows += [[None, *ROWS[0]], [], [None, *ROWS[1]]]
    write_workbook(tmp_path / "a.xlsx", {"Data": rows})
    recording = read(tmp_path)
    assert recording.values.tolist() == [[4.0, 1.297], [4.5, 784.0]]
    assert recording.line.tolist() == [6, 8]
    before, units = recording.notes
    assert names(before, "a.xlsx", "1 rows before the header")
    assert names(units, "a.xlsx", "1 rows below the header")


def test_date_and_time_of_day_are_joined(tmp_path: Path) -> None:
    rows: list[list[object]] = [["Date", "Time", *HEADER[1:]], [START, time(8, 53, 20), 1.5, 2.5]]
    write_workbook(tmp_path / "a.xlsx", {"Data": rows})
    recording = read(tmp_path, time={"column": ["Date", "Time"]})
    assert recording.times_ns.tolist() == [START_NS + (8 * 3600 + 53 * 60 + 20) * 10**9]


def test_error_in_a_cell_and_an_empty_cell_are_missing_values(tmp_path: Path) -> None:
    rows: list[list[object]] = [HEADER, [START, Fault("#N/A"), 1.5], [START, 2.5, None]]
    write_workbook(tmp_path / "a.xlsx", {"Data": rows})
    assert np.isnan(read(tmp_path).values).tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("decimal", [None, ","], ids=["no mark given", "decimal comma given"])
def test_number_beside_texts_is_read_as_it_was(decimal: str | None, tmp_path: Path) -> None:
    rows: list[list[object]] = [HEADER, [START, 1.297, 1], [START, "-", 2], [START, 784, 3]]
    write_workbook(tmp_path / "a.xlsx", {"Data": rows})
    recording = read(tmp_path, na_values=["-"], decimal=decimal)
    assert recording.values[[0, 2], 0].tolist() == [1.297, 784.0]
    assert np.isnan(recording.values[1, 0])


def test_text_among_numbers_is_told_with_sheet_row_and_column(tmp_path: Path) -> None:
    rows: list[list[object]] = [HEADER, ROWS[0], [START, "broken", 2]]
    write_workbook(tmp_path / "a.xlsx", {"Pump 7": [["Title"], *rows]})
    told = refusal(tmp_path)
    assert names(told, "a.xlsx sheet 'Pump 7' line 4", "column 'pressure'", "found 'broken'")


def test_sheet_is_the_one_with_all_columns_which_is_said(tmp_path: Path) -> None:
    sheets: dict[str, list[list[object]]] = {
        "Legend": [["name", "unit"], ["flow", "m3/h"]],
        "Data": [HEADER, *ROWS],
        "Empty": [],
    }
    write_workbook(tmp_path / "a.xlsx", sheets)
    recording = read(tmp_path)
    assert len(recording) == 2
    assert names(recording.notes[0], "a.xlsx", "sheet 'Data'")


def test_sheet_is_asked_for_where_several_have_all_columns(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", {"May": [HEADER, ROWS[0]], "June": [HEADER, *ROWS]})
    assert names(refusal(tmp_path), "a.xlsx", "'May', 'June'", "several have", "data.sheet")
    assert len(read(tmp_path, sheet="June")) == 2


def test_sheet_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", {"May": [HEADER, ROWS[0]], "June": [HEADER, *ROWS]})
    assert names(refusal(tmp_path, sheet="july"), "'july'", "'May', 'June'", "data.sheet")


def test_missing_column_is_told_with_row_and_nearest_name(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", {"Data": [["time", "presure", "flow"], *ROWS]})
    told = refusal(tmp_path)
    assert names(told, "a.xlsx sheet 'Data' row 1", "no column pressure", "'presure'")


def test_columns_are_named_by_position_without_a_header(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", {"Data": ROWS})
    assert len(read(tmp_path, columns=HEADER)) == 2
    told = refusal(tmp_path, columns=[*HEADER, "more"])
    assert names(told, "sheet 'Data' row 1", "3 columns", "names 4")


def test_empty_workbook_is_left_out(tmp_path: Path) -> None:
    write_workbook(tmp_path / "1.xlsx", {"Data": []})
    write_workbook(tmp_path / "2.xlsx", {"Data": [HEADER, *ROWS]})
    recording = read(tmp_path)
    assert len(recording) == 2
    assert names(recording.notes[0], "1.xlsx", "empty")


def test_what_is_no_workbook_is_told(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.xlsx", ["time", "pressure", "flow"], [["2025-03-01", 1, 2]])
    assert names(refusal(tmp_path), "a.xlsx", "cannot be read")


def test_workbook_under_another_suffix_is_told_what_it_is(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.csv", {"Data": [HEADER, *ROWS]})
    assert names(refusal(tmp_path, files=["a.csv"]), "a.csv", "Excel", ".xlsx")


def test_missing_library_is_told_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_workbook(tmp_path / "a.xlsx", {"Data": [HEADER, *ROWS]})
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    assert names(refusal(tmp_path), "a.xlsx", "[excel]", "pip install 'millhand[trainer,excel]'")
