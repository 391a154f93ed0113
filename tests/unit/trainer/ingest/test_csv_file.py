"""CSV files as historians and spreadsheets write them."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from tests.kit.recordings import recipe, write_csv
from tests.kit.wording import names
from trainer.errors import DataError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

HEADER = ["time", "pressure", "flow"]
TEXT = "time,pressure,flow\n2025-03-01T00:00:00Z,4.0,30\n2025-03-01T00:00:01Z,4.1,31\n"


def read(folder: Path, **data: object) -> Recording:
    description = recipe(folder, data={"files": ["*.csv*"], **data})
    return load(description.data, description.signals)


def refusal(folder: Path, **data: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, **data)
    return str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("given", [None, "as it is"])
def test_byte_order_mark_says_the_encoding(
    tmp_path: Path, encoding: str, given: str | None
) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT.encode(encoding))
    (tmp_path / "b.csv.gz").write_bytes(
        gzip.compress(TEXT.replace("-03-", "-04-").encode(encoding))
    )
    recording = read(tmp_path, encoding=given and encoding)
    assert recording.values[:, 0].tolist() == [4.0, 4.1, 4.0, 4.1]
    (note,) = recording.notes or ("",)
    assert bool(note) == (given is None)
    assert given or names(note, "a.csv", "1 more", encoding)


def test_encoding_that_the_byte_order_mark_denies_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT.encode("utf-16"))
    told = refusal(tmp_path, encoding="cp1252")
    assert names(told, "utf-16", "data.encoding", "'cp1252'")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_told_with_its_byte_order(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT.encode(encoding))
    told = refusal(tmp_path)
    assert names(told, "a.csv", "utf-16")
    assert f"data.encoding = '{encoding}'" in told
    assert len(read(tmp_path, encoding=encoding)) == 2


def test_other_encoding_is_told_with_what_it_would_be(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT.replace("flow", "flow,°C").encode("cp1252"))
    assert names(refusal(tmp_path), "0xb0", "data.encoding", "'cp1252'", "'°'")


def test_encoding_that_breaks_far_down_is_told(tmp_path: Path) -> None:
    rows = "".join(f"2025-03-01T00:00:00.{number:06d}Z,4,30\n" for number in range(4000))
    (tmp_path / "a.csv").write_bytes((f"time,pressure,flow\n{rows}" + "°").encode("cp1252"))
    assert names(refusal(tmp_path), "a.csv", "utf-8", "0xb0")


def test_apostrophes_for_quotes_are_found_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "'time';'pressure';'flow; corrected'\n'2025-03-01T00:00:00Z';'4.0';'30'\n"
    )
    signals = [{"name": "pressure"}, {"name": "flow", "column": "flow; corrected"}]
    description = recipe(tmp_path, signals=signals)
    recording = load(description.data, description.signals)
    assert recording.values.tolist() == [[4.0, 30.0]]
    (note,) = recording.notes
    assert names(note, "a.csv", "'")


def test_separator_within_quotes_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        'time,pressure,flow,"remark, if any"\n2025-03-01T00:00:00Z,4.0,30,"shift a, line 1"\n'
    )
    assert read(tmp_path).values.tolist() == [[4.0, 30.0]]


def test_separator_that_a_spreadsheet_names_is_taken_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sep=;\n" + TEXT.replace(",", ";"))
    recording = read(tmp_path)
    assert recording.place(0) == "a.csv line 3"
    (note,) = recording.notes
    assert names(note, "a.csv", "'sep=;'")


def test_lines_before_the_header_are_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"Historian export; site 4\n\n{TEXT}")
    recording = read(tmp_path)
    assert recording.place(0) == "a.csv line 4"
    (note,) = recording.notes
    assert names(note, "a.csv", "2 lines")


def test_column_that_is_not_read_may_be_there_twice(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [*HEADER, "x", "x", ""], [("2025-03-01", 4, 30, 1, 2, "")])
    assert read(tmp_path).values.tolist() == [[4.0, 30.0]]


def test_column_that_is_there_twice_is_told_with_its_places(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [*HEADER, "x", "flow"], [("2025-03-01", 4, 30, 1, 2)])
    told = refusal(tmp_path)
    assert names(told, "a.csv line 1", "'flow'", "3 and 5")


def test_line_that_was_cut_off_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TEXT + "2025-03-01T00:00:02Z,4.")
    recording = read(tmp_path)
    assert recording.values[:, 0].tolist() == [4.0, 4.1]
    (note,) = recording.notes
    assert names(note, "a.csv", "last line")


def test_last_line_without_an_end_is_read_if_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TEXT.rstrip("\n"))
    recording = read(tmp_path)
    assert recording.values[:, 0].tolist() == [4.0, 4.1]
    assert recording.notes == ()


def test_file_of_one_cut_line_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,pressure,flow\n2025-03-01T00:")
    assert names(refusal(tmp_path), "a.csv")


def test_same_bytes_under_two_names_are_not_counted_twice(tmp_path: Path) -> None:
    for name in ("1.csv", "1 (copy).csv"):
        (tmp_path / name).write_text(TEXT)
    told = refusal(tmp_path)
    assert names(told, "1.csv", "1 (copy).csv")
    assert "data.files" in told


def test_rows_that_fill_many_blocks_are_all_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.ingest.csv_file._BLOCK_CELLS", 70 * len(HEADER))
    rows = [
        (f"2025-03-01T00:{number // 60:02d}:{number % 60:02d}Z", number, 0) for number in range(300)
    ]
    write_csv(tmp_path / "a.csv", HEADER, rows)
    recording = read(tmp_path)
    assert np.array_equal(recording.values[:, 0], np.arange(300))
    assert recording.place(299) == "a.csv line 301"
    write_csv(tmp_path / "a.csv", HEADER, [*rows, ("2025-03-01T01:00:00Z", "x", 0)])
    assert "a.csv line 302, column 'pressure': found 'x'" in refusal(tmp_path)


def test_lines_of_units_below_the_header_are_left_out_and_said(tmp_path: Path) -> None:
    head, *rows = TEXT.splitlines()
    lines = ["Pump 7", "", head, ",[bar],[m3/h]", "UTC,1 s,1/min", *rows]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    recording = read(tmp_path)
    assert recording.values.tolist() == [[4.0, 30.0], [4.1, 31.0]]
    assert recording.line.tolist() == [6, 7]
    one, two = recording.notes
    assert names(one, "a.csv", "2 lines")
    assert names(two, "a.csv", "2 lines")


def test_first_row_without_values_is_no_line_of_units(tmp_path: Path) -> None:
    text = TEXT.replace("4.0,30", "Bad,").replace("4.1", "open")
    (tmp_path / "a.csv").write_text(text)
    signals = [{"name": "pressure", "codes": {"open": 1}}, {"name": "flow"}]
    made = recipe(tmp_path, data={"na_values": ["Bad"]}, signals=signals)
    recording = load(made.data, made.signals)
    assert recording.values.tolist() == [[1.0, 31.0]]
    (note,) = recording.notes
    assert names(note, "1 rows")


def test_header_that_is_repeated_is_left_out_and_said(tmp_path: Path) -> None:
    head, first, second = TEXT.splitlines()
    (tmp_path / "a.csv").write_text("\n".join([head, first, f" {head}", second, head]) + "\n")
    recording = read(tmp_path)
    assert recording.line.tolist() == [2, 4]
    (note,) = recording.notes
    assert names(note, "a.csv", "2 lines")


def test_file_without_a_header_is_told_to_name_its_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("151.47\t0.3\t-2\n150.9\t0.4\t-3\n")
    told = refusal(tmp_path)
    assert names(told, "151.47, 0.3, -2", "a tab")
    assert "data.columns" in told


def test_decimal_commas_that_give_as_many_columns_are_no_separators(tmp_path: Path) -> None:
    rows = (f"2025-03-01T00:00:0{second}Z;4,{second};3{second},5\n" for second in range(5))
    (tmp_path / "a.csv").write_text("".join(rows))
    recording = read(tmp_path, columns=HEADER, decimal=",")
    assert recording.values[:, 1].tolist() == [30.5, 31.5, 32.5, 33.5, 34.5]


def test_number_of_columns_is_told_by_the_separator_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\t2\t3\t4\t5\n1\t2\t3\t4\t5\n")
    told = refusal(tmp_path, columns=HEADER)
    assert names(told, "5 columns", "data.columns", "3")


def test_columns_of_another_file_are_told_to_be_joined_first(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,pressure\n2025-03-01T00:00:00Z,4\n")
    assert "other files" in refusal(tmp_path)


def test_quote_that_is_never_closed_is_told_with_its_line(tmp_path: Path) -> None:
    head, first, second = TEXT.splitlines()
    lines = [head, *[first] * 100, second.replace("4.1", '"4.1'), first]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    assert "a.csv line 102" in refusal(tmp_path)


def test_line_of_remarks_among_the_rows_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{TEXT}Total: 2 rows\n")
    said = "a.csv line 4, column 'time': found 'Total: 2 rows'"
    assert said in refusal(tmp_path)


def test_bytes_that_steer_a_terminal_are_told_in_print(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TEXT.replace("4.1", "4\x1b[2J1"))
    assert r"found '4\x1b[2J1'" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (["Bad", "I/O Timeout"], 'set data.na_values = ["Bad", "I/O Timeout"]'),
        (["4.1 bar", "4.2 bar"], "unit"),
    ],
)
def test_texts_among_numbers_are_told_with_the_line_to_write(
    tmp_path: Path, found: list[str], said: str
) -> None:
    rows = [*found, "4.0"]
    lines = [f"2025-03-01T00:00:0{number}Z,{text},1" for number, text in enumerate(rows)]
    (tmp_path / "a.csv").write_text("\n".join(["time,pressure,flow", *lines]) + "\n")
    assert said in refusal(tmp_path)


def test_true_and_false_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TEXT.replace("4.0", "true").replace("4.1", "False"))
    assert read(tmp_path).values[:, 0].tolist() == [1.0, 0.0]


def test_states_in_text_are_told_with_codes_to_write(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TEXT.replace("4.0", "Läuft").replace("4.1", "Störung"))
    assert 'codes = { "Läuft" = 0, "Störung" = 1 }' in refusal(tmp_path)


def test_sign_that_only_looks_like_the_end_of_a_line_stays_in_its_name(tmp_path: Path) -> None:
    text = TEXT.replace("flow", "flow\x85\x0c(corrected)")
    (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
    signals = [{"name": "pressure"}, {"name": "flow", "column": "flow\x85\x0c(corrected)"}]
    made = recipe(tmp_path, data={"encoding": "latin-1"}, signals=signals)
    assert load(made.data, made.signals).values.tolist() == [[4.0, 30.0], [4.1, 31.0]]


def test_second_table_of_an_annotated_file_is_named_with_its_line(tmp_path: Path) -> None:
    top = "#group,false,false,true\n#datatype,string,double,string\n#default,_result,,\n"
    tables = [
        f"{top},result,time,_value,_field\n,,2025-03-01T00:00:0{n}Z,{n}.5,{field}\n"
        for n, field in enumerate(("rpm", "temp"))
    ]
    (tmp_path / "a.csv").write_text("\n".join(tables))
    wanted = recipe(tmp_path, signals=[{"name": "rpm", "column": "_value"}])
    with pytest.raises(DataError) as caught:
        load(wanted.data, wanted.signals)
    told = str(caught.value)
    assert names(
        told, "a.csv line 7", "a second table begins", "'#group'", "field 'temp'", "pivot("
    )
