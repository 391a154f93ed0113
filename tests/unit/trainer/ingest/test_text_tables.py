"""Text files without a header, below titles, and with a line for each column."""

from pathlib import Path

import numpy as np
import pytest

from tests.kit.recordings import recipe
from tests.kit.wording import names
from trainer.errors import DataError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

ROWS = [[4.0, 30], [4.1, 31], [4.2, 30], [4.3, 29]]
LINES = [f"{pressure}  {flow}" for pressure, flow in ROWS]
NAMES = {"columns": ["pressure", "flow"]}
EVERY_SECOND = {"unit": "s"}


def write(folder: Path, *lines: str, name: str = "a.csv") -> None:
    (folder / name).write_text("".join(f"{line}\n" for line in lines))


def read(folder: Path, **data: object) -> Recording:
    description = recipe(folder, data={"time": EVERY_SECOND, **data})
    return load(description.data, description.signals)


def refusal(folder: Path, **data: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, **data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("titles", "left_out"),
    [
        (["Test bench 4"], 1),
        (["Run 7", "", "by the night shift"], 3),
        (["Pressure Flow"], 1),
        (["Run 7 of May", "Pressure Flow", "bar m3/h"], 3),
        (["two words"] * 7, 7),
    ],
    ids=["one", "some with a gap", "names", "names and units", "many like rows"],
)
def test_titles_above_rows_without_a_header_are_left_out_and_said(
    tmp_path: Path, titles: list[str], left_out: int
) -> None:
    write(tmp_path, *titles, *LINES)
    recording = read(tmp_path, **NAMES)
    assert recording.values.tolist() == ROWS
    assert recording.line.tolist() == [left_out + row for row in range(1, 5)]
    assert "left out" in "".join(recording.notes)


def test_title_with_as_many_words_as_columns_does_not_choose_the_separator(tmp_path: Path) -> None:
    write(tmp_path, "Bench four", *[f"{pressure};{flow}" for pressure, flow in ROWS])
    assert read(tmp_path, **NAMES).values.tolist() == ROWS


def test_row_with_too_few_fields_is_no_title(tmp_path: Path) -> None:
    write(tmp_path, "4.0", *LINES)
    assert names(refusal(tmp_path, **NAMES), "a.csv line 1", "1 columns", "data.skip_rows")


def test_lines_that_the_recipe_skips_are_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path, "1.0  1", "pressure,flow", *LINES)
    recording = read(tmp_path, skip_rows=2, **NAMES)
    assert recording.values.tolist() == ROWS
    assert recording.line.tolist() == [3, 4, 5, 6]


def test_header_below_skipped_lines_is_found(tmp_path: Path) -> None:
    write(tmp_path, "pressure flow  as of yesterday", *["# remark"] * 70, "pressure flow", *LINES)
    recording = read(tmp_path, skip_rows=71)
    assert recording.values.tolist() == ROWS
    assert recording.line[0] == 73


def test_place_in_a_message_counts_skipped_lines(tmp_path: Path) -> None:
    write(tmp_path, "a title", "pressure flow", *LINES, "4.4  x")
    assert names(refusal(tmp_path, skip_rows=1), "a.csv line 7", "'x'")


def transposed(folder: Path, *named: str, name: str = "a.csv") -> None:
    values = np.array(ROWS).T
    lines = [f"  {'  '.join(map(str, line))}" for line in values]
    write(
        folder, *[f"{n}{line}" for n, line in zip(named or ["", ""], lines, strict=True)], name=name
    )


@pytest.mark.parametrize("header", [(), ("pressure", "flow")], ids=["no names", "names"])
def test_transposed_file_is_told_the_key_to_write_and_read_by_it(
    tmp_path: Path, header: tuple[str, ...]
) -> None:
    transposed(tmp_path, *header)
    data = {} if header else NAMES
    said = refusal(tmp_path, **data)
    assert names(said, "a.csv", "4 rows", "data.transposed = true", 'data.transposed = ["a.csv"]')
    recording = read(tmp_path, transposed=True, **data)
    assert recording.values.tolist() == ROWS
    assert "transposed" in "".join(recording.notes)


def test_file_as_long_as_the_names_is_told_to_be_transposed(tmp_path: Path) -> None:
    columns = ["pressure", "flow", *[f"s{number}" for number in range(50)]]
    drawn = np.random.default_rng(0).normal(size=(500, 52)).round(6)
    write(tmp_path, *["  ".join(map(str, line)) for line in drawn.T])
    said = refusal(tmp_path, columns=columns)
    assert names(said, "500 columns", "52 lines", "500 rows", "data.transposed = true")
    read_again = read(tmp_path, columns=columns, transposed=True)
    assert np.array_equal(read_again.values, drawn[:, :2])


def test_only_files_that_fit_a_pattern_are_turned(tmp_path: Path) -> None:
    transposed(tmp_path, name="t.csv")
    write(tmp_path, *LINES)
    recording = read(tmp_path, transposed=["t*"], **NAMES)
    assert recording.values.tolist() == ROWS + ROWS


@pytest.mark.parametrize(
    ("lines", "data", "said"),
    [
        (["1 2 3", "4 5"], NAMES, ["'flow' has 2 values", "'pressure'", "3"]),
        (["1 2", "3 4", "5 6"], NAMES, ["a.csv", "3 lines", "names 2"]),
        (["pressure 1 2", "level 3 4"], {}, ["a.csv", "'flow'", "data.columns"]),
        (["1 2 3", "4 5 x"], NAMES, ["a.csv line 3", "'flow'", "'x'"]),
    ],
    ids=["uneven", "too many lines", "a name is missing", "text among numbers"],
)
def test_mistake_in_a_transposed_file_is_told_with_its_place(
    tmp_path: Path, lines: list[str], data: dict[str, object], said: list[str]
) -> None:
    write(tmp_path, *lines)
    assert names(refusal(tmp_path, transposed=True, **data), *said)
