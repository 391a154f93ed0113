"""Recorded files as they come: what is cleaned and said, and what is refused with its place."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.kit.recordings import recipe, write_csv, write_parquet
from tests.kit.wording import names
from trainer.errors import DataError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

HEADER = ["time", "pressure", "flow"]
ROWS = [("2025-03-01T00:00:00Z", 4.0, 30.0), ("2025-03-01T00:00:01Z", 4.1, 31.0)]
START_NS = 1_740_787_200 * 10**9


def read(folder: Path, **data: object) -> Recording:
    description = recipe(folder, data=data)
    return load(description.data, description.signals)


def refusal(folder: Path, **data: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, **data)
    return str(caught.value)


def test_clean_file_is_read_without_a_remark(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, ROWS)
    recording = read(tmp_path)
    assert recording.values.tolist() == [[4.0, 30.0], [4.1, 31.0]]
    assert recording.times_ns.tolist() == [START_NS, START_NS + 10**9]
    assert recording.notes == ()
    assert recording.place(1) == "a.csv line 3"
    assert recording.period_ms() == 1000


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "  "], ids=list("csptb"))
def test_separator_is_found(tmp_path: Path, separator: str) -> None:
    write_csv(tmp_path / "a.csv", HEADER, ROWS, separator)
    assert read(tmp_path).values.tolist() == [[4.0, 30.0], [4.1, 31.0]]


def test_wrong_separator_is_told_with_the_right_one(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, ROWS, ";")
    told = refusal(tmp_path, separator=",")
    assert names(told, "a.csv line 1", "time, pressure, flow")
    assert "data.separator = ';'" in told


def test_byte_order_mark_and_blanks_in_the_header_are_cleaned_and_said(tmp_path: Path) -> None:
    text = "time,pressure ,flow\n2025-03-01T00:00:00Z,4.0,30\n"
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    recording = read(tmp_path)
    assert recording.values.tolist() == [[4.0, 30.0]]
    one, two = recording.notes
    assert names(one, "a.csv", "byte-order mark")
    assert names(two, "a.csv", "'pressure '", "'pressure'")


def test_one_header_that_differs_is_said_with_its_file(tmp_path: Path) -> None:
    write_csv(tmp_path / "1.csv", HEADER, ROWS[:1])
    write_csv(tmp_path / "2.csv", ["time", "pressure", "flow "], ROWS[1:])
    recording = read(tmp_path)
    assert not np.isnan(recording.values).any()
    (note,) = recording.notes
    assert names(note, "2.csv", "'flow '", "'flow'")


def test_missing_column_is_told_with_the_nearest(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["time", "presure", "flow"], ROWS)
    told = refusal(tmp_path)
    assert names(told, "a.csv line 1", "pressure", "time, presure, flow")
    assert names(told, "'presure'", "'pressure'")


def test_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["time", "pressure", "flow", "flow "], [(*ROWS[0], 1)])
    assert "'flow'" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "\n\n", "time,pressure,flow\n"], ids=["0", "blank", "header"]
)
def test_empty_file_among_others_is_left_out_and_said(tmp_path: Path, content: str) -> None:
    write_csv(tmp_path / "a.csv", HEADER, ROWS)
    (tmp_path / "b.csv").write_text(content)
    recording = read(tmp_path)
    assert len(recording) == 2
    (note,) = recording.notes
    assert names(note, "b.csv", "empty")


def test_nothing_but_empty_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("")
    assert names(refusal(tmp_path), "b.csv", "empty")


def test_pattern_without_a_file_is_refused(tmp_path: Path) -> None:
    assert f"'{tmp_path}/*.csv'" in refusal(tmp_path)


def test_any_suffix_is_text_as_public_sets_have_it(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for number, name in enumerate(("2004.02.12.10.32.39", "secom.data", "run.7.tsv", "motor.txt")):
        rows = [(time, pressure, number) for time, pressure, _ in ROWS]
        write_csv(tmp_path / "runs" / name, HEADER, rows)
    recording = read(tmp_path, files=["runs/*"], asset_from="file")
    assert recording.assets == ("2004.02.12.10.32.39", "motor", "run.7", "secom")
    assert len(recording) == 4 * len(ROWS)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"PK\x03\x04" + bytes(50), "Excel"),
        (gzip.compress(b"time,pressure\n", mtime=0), ".gz"),
        (b"PAR1" + bytes(50), ".parquet"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html>", "web page"),
    ],
    ids=["workbook", "gzip", "parquet", "pointer", "web page"],
)
def test_file_that_is_no_csv_is_told_by_what_it_is(tmp_path: Path, start: bytes, said: str) -> None:
    (tmp_path / "a.csv").write_bytes(start)
    assert said in refusal(tmp_path)


def test_folder_for_a_file_is_told_with_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "history").mkdir()
    told = refusal(tmp_path, files=["history"])
    assert f"'{tmp_path}/history' is a folder" in told
    assert f"such as '{tmp_path}/history/*.csv'" in told


def test_file_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    write_csv(tmp_path / "pump_7.csv", HEADER, ROWS)
    assert "'pump_7.csv'" in refusal(tmp_path, files=["pump7.csv"])
    assert f"'{tmp_path}/no'" in refusal(tmp_path, files=["no/pump7.csv"])


def test_brackets_in_a_name_that_is_there_are_no_pattern(tmp_path: Path) -> None:
    write_csv(tmp_path / "pump[7].csv", HEADER, ROWS)
    assert len(read(tmp_path, files=["pump[7].csv"])) == len(ROWS)


def test_text_among_numbers_is_told_with_file_line_and_column(tmp_path: Path) -> None:
    rows = [*ROWS, ("2025-03-01T00:00:02Z", "Bad", 1), ("2025-03-01T00:00:03Z", "Bad", 1)]
    write_csv(tmp_path / "a.csv", HEADER, rows)
    told = refusal(tmp_path)
    assert names(told, "a.csv line 4", "1 more, column 'pressure'", "'Bad'")
    assert "data.na_values" in told


def test_text_that_means_no_value_is_missing(tmp_path: Path) -> None:
    rows = [("2025-03-01T00:00:00Z", "Bad", 1), ("2025-03-01T00:00:01Z", "NaN", 2)]
    write_csv(tmp_path / "a.csv", HEADER, rows)
    assert np.isnan(read(tmp_path, na_values=["Bad"]).values[:, 0]).all()


def test_decimal_comma_is_read_where_the_recipe_says_so(tmp_path: Path) -> None:
    rows = [("2025-03-01T00:00:00Z", "4,25", "30,5")]
    write_csv(tmp_path / "a.csv", HEADER, rows, ";")
    assert read(tmp_path, decimal=",").values.tolist() == [[4.25, 30.5]]
    assert names(refusal(tmp_path, decimal="."), "decimal comma", "data.decimal")


def test_states_in_text_become_their_codes(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["time", "valve"], [(ROWS[0][0], "open"), (ROWS[1][0], "shut")])
    valve = {"name": "valve", "codes": {"open": 1, "shut": 0}}
    description = recipe(tmp_path, signals=[valve])
    assert load(description.data, description.signals).values.tolist() == [[1], [0]]
    description = recipe(tmp_path, signals=[{"name": "valve", "codes": {"open": 1}}])
    with pytest.raises(DataError, match=r"line 3, column 'valve': found 'shut'"):
        load(description.data, description.signals)


@pytest.mark.parametrize(
    ("codes", "found", "values"),
    [
        ({"open": 1, "shut": 0}, ["1.0", "shut"], [[1], [0]]),
        ({"1": 5, "2": 1}, ["1", "2"], [[5], [1]]),
    ],
    ids=["a code is read as on a gateway", "a state that is a number comes first"],
)
def test_codes_stand_for_their_states(
    tmp_path: Path, codes: dict[str, float], found: list[str], values: list[list[float]]
) -> None:
    rows = [(row[0], state) for row, state in zip(ROWS[:2], found, strict=True)]
    write_csv(tmp_path / "a.csv", ["time", "valve"], rows)
    description = recipe(tmp_path, signals=[{"name": "valve", "codes": codes}])
    assert load(description.data, description.signals).values.tolist() == values


def test_row_with_too_many_fields_is_told_with_its_line(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [*ROWS, ("2025-03-01T00:00:02Z", 1, 2, 3)])
    assert names(refusal(tmp_path), "a.csv", "3 columns", "line 4")


def test_rows_that_are_all_longer_than_the_header_are_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [(number, *row) for number, row in enumerate(ROWS)])
    assert "header" in refusal(tmp_path)


def test_blank_lines_are_left_out_and_lines_still_counted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "time,pressure,flow\n2025-03-01T00:00:00Z,4,30\n\n2025-03-01T00:00:01Z,4,31\n"
    )
    recording = read(tmp_path)
    assert recording.place(1) == "a.csv line 4"
    (note,) = recording.notes
    assert names(note, "a.csv", "1")


def test_rows_without_any_value_are_left_out_and_said(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [*ROWS, ("2025-03-01T00:00:02Z", "", "")])
    recording = read(tmp_path)
    assert len(recording) == 2
    (note,) = recording.notes
    assert names(note, "1 rows")


def test_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("time,pressure,flow,°C\n".encode("cp1252"))
    told = refusal(tmp_path)
    assert names(told, "a.csv", "utf-8", "0xb0", "data.encoding", "'cp1252'")


def test_other_encoding_is_read_where_the_recipe_says_so(tmp_path: Path) -> None:
    text = "time,pressure,flow,°C\n2025-03-01T00:00:00Z,4,30,1\n"
    (tmp_path / "a.csv").write_bytes(text.encode("cp1252"))
    assert len(read(tmp_path, encoding="cp1252")) == 1


def test_compressed_file_is_read(tmp_path: Path) -> None:
    plain = write_csv(tmp_path / "a.csv", HEADER, ROWS)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert len(read(tmp_path, files=["*.csv.gz"])) == 2


def test_broken_compression_is_told(tmp_path: Path) -> None:
    (tmp_path / "b.csv.gz").write_bytes(b"no gzip at all")
    assert "b.csv.gz" in refusal(tmp_path, files=["*.csv.gz"])


def test_file_without_a_header_takes_the_recipes_columns(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1 4.0  30 \n2 4.1  31 \n")
    recording = read(
        tmp_path,
        files=["*.txt"],
        columns=HEADER,
        time={"column": "time", "unit": "h", "origin": "2024-01-01T00:00:00Z"},
    )
    assert recording.values.tolist() == [[4.0, 30.0], [4.1, 31.0]]
    assert recording.period_ms() == 3_600_000
    assert recording.place(0) == "a.txt line 1"


def test_file_with_other_columns_than_the_recipe_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1 4.0\n")
    told = refusal(tmp_path, files=["*.txt"], columns=HEADER)
    assert names(told, "a.txt line 1", "2 columns", "data.columns", "3")


@pytest.mark.parametrize(
    ("stamps", "time", "said"),
    [
        (["2025-03-01 00:00", "01.03.2025 00:01"], {}, "line 3, column 'time': found '01.03.2025"),
        (["yesterday"], {}, "found 'yesterday'"),
        (["2025-03-01 00:00Z", "2025-03-01 00:01"], {}, "time zone"),
        (["01.03.2025", "2025-03-02"], {"format": "%d.%m.%Y"}, "line 3, column 'time': found '20"),
        (
            ["2025-10-26 02:30"],
            {"zone": "Europe/Berlin"},
            "Europe/Berlin",
        ),
        (["2025-03-01 00:00", ""], {}, "line 3, column 'time': found ''"),
        (["1", "x"], {"unit": "s"}, "line 3, column 'time': found 'x'"),
        (["1", "1e300"], {"unit": "s"}, "found '1e300'"),
        (["1", ""], {"unit": "s"}, "found ''"),
    ],
)
def test_time_that_cannot_be_read_safely_is_refused(
    tmp_path: Path, stamps: list[str], time: dict[str, str], said: str
) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [(stamp, 1, 2) for stamp in stamps])
    assert said in refusal(tmp_path, time={"column": "time", **time})


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("2025-03-01 00:00:00", {}),
        ("2025-03-01T01:00:00+01:00", {}),
        ("2025-03-01 01:00", {"zone": "Europe/Berlin"}),
        ("01.03.2025 00:00", {"format": "%d.%m.%Y %H:%M"}),
        ("01.03.2025 01:00 +0100", {"format": "%d.%m.%Y %H:%M %z"}),
        ("1740787200", {"unit": "s"}),
        ("1740787200000", {"unit": "ms"}),
        ("0", {"unit": "h", "origin": "2025-03-01T00:00:00Z"}),
    ],
)
def test_time_is_read_as_the_recipe_says(tmp_path: Path, stamp: str, time: dict[str, str]) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [(stamp, 1, 2)])
    assert read(tmp_path, time={"column": "time", **time}).times_ns.tolist() == [START_NS]


def test_seconds_keep_their_microseconds(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [("1740787200.000001", 1, 2)])
    time_ns = int(read(tmp_path, time={"column": "time", "unit": "s"}).times_ns[0])
    assert abs(time_ns - START_NS - 1000) < 250


def test_rows_out_of_order_are_sorted_and_said(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, ROWS[::-1])
    recording = read(tmp_path)
    assert np.diff(recording.times_ns).tolist() == [10**9]
    (note,) = recording.notes
    assert names(note, "1 rows")


def test_order_of_the_rows_can_be_the_time(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        write_csv(tmp_path / f"{number}.csv", ["pressure", "flow"], [(number, 0)])
    recording = read(tmp_path, time={"unit": "h", "origin": "2025-03-01T00:00:00Z"})
    assert recording.values[:, 0].tolist() == [1, 2, 10]
    assert recording.times_ns[0] == START_NS
    assert recording.period_ms() == 3_600_000


def test_file_can_be_an_asset(tmp_path: Path) -> None:
    write_csv(tmp_path / "p1.csv", HEADER, ROWS)
    write_csv(tmp_path / "p2.csv", HEADER, [*ROWS[:1], (ROWS[1][0], 4.2, 31.0)])
    recording = read(tmp_path, asset_from="file")
    assert recording.assets == ("p1", "p2")
    assert recording.asset.tolist() == [0, 1, 0, 1]
    assert recording.rank().tolist() == [0, 0, 1, 1]


def test_assets_that_each_file_numbers_anew_are_told_apart(tmp_path: Path) -> None:
    for name, rows in (("train", ROWS), ("test", ROWS[:1])):
        write_csv(tmp_path / f"{name}.csv", [*HEADER, "engine"], [(*row, 1) for row in rows])
    recording = read(tmp_path, asset_from="file", asset_column="engine")
    assert recording.assets == ("test-1", "train-1")
    assert recording.asset.tolist() == [0, 1, 1]
    assert recording.rank().tolist() == [0, 0, 1]


def test_several_columns_together_can_name_the_asset(tmp_path: Path) -> None:
    header = ["fault", "run", *HEADER]
    rows = [(fault, run, *ROWS[0]) for fault in (0, 1) for run in (1, 2)]
    write_csv(tmp_path / "a.csv", header, rows)
    recording = read(tmp_path, asset_column=["fault", "run"])
    assert recording.assets == ("0-1", "0-2", "1-1", "1-2")
    assert recording.asset.tolist() == [0, 1, 2, 3]
    write_csv(tmp_path / "a.csv", header, [(0, "", *ROWS[0])])
    told = refusal(tmp_path, asset_column=["fault", "run"])
    assert "column 'run': found ''" in told


def test_files_of_the_same_name_are_no_two_assets(tmp_path: Path) -> None:
    write_csv(tmp_path / "a" / "1.csv", HEADER, ROWS)
    write_csv(tmp_path / "b" / "1.csv", HEADER, ROWS[:1])
    told = refusal(tmp_path, files=["*/1.csv"], asset_from="file")
    assert names(told, "a/1.csv", "b/1.csv")


def test_asset_column_must_name_one_in_every_row(tmp_path: Path) -> None:
    header = [*HEADER, "pump"]
    write_csv(tmp_path / "a.csv", header, [(*ROWS[0], "007"), (*ROWS[1], "")])
    told = refusal(tmp_path, asset_column="pump")
    assert "a.csv line 3, column 'pump': found ''" in told
    write_csv(tmp_path / "a.csv", header, [(*ROWS[0], "007"), (*ROWS[1], "8")])
    assert read(tmp_path, asset_column="pump").assets == ("007", "8")


def test_labels_are_read_in_one_spelling(tmp_path: Path) -> None:
    rows = [(*ROWS[0], "1.0"), (*ROWS[1], "")]
    write_csv(tmp_path / "a.csv", [*HEADER, "label"], rows)
    description = recipe(tmp_path)
    recording = load(description.data, description.signals, texts=["label"], numbers=["label"])
    assert recording.texts["label"].tolist() == ["1", ""]
    numbers = recording.numbers["label"]
    assert numbers[0] == 1.0
    assert np.isnan(numbers[1])


def test_same_note_about_many_files_is_said_once(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.csv").write_text("")
    write_csv(tmp_path / "a.csv", HEADER, ROWS)
    (note,) = read(tmp_path).notes
    assert names(note, "0.csv", "2 more", "empty")


def test_parquet_is_read(tmp_path: Path) -> None:
    start = datetime(2025, 3, 1, tzinfo=UTC)
    columns = {"pressure ": [4, None], "flow": [True, False]}
    write_parquet(tmp_path / "a.parquet", time=[start, start + timedelta(seconds=1)], **columns)
    recording = read(tmp_path, files=["*.parquet"])
    assert recording.times_ns.tolist() == [START_NS, START_NS + 10**9]
    assert recording.values[:, 1].tolist() == [1.0, 0.0]
    assert np.isnan(recording.values[1, 0])
    (note,) = recording.notes
    assert names(note, "a.parquet", "'pressure '", "'pressure'")
    assert recording.place(0) == "a.parquet line 1"


def test_parquet_without_a_column_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", time=[1.0], pressure=[1.0])
    assert names(refusal(tmp_path, files=["*.parquet"]), "a.parquet", "flow")


def test_parquet_with_numbers_for_times_needs_a_unit(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", time=[1.0], pressure=[1.0], flow=[1.0])
    assert "data.time.unit" in refusal(tmp_path, files=["*.parquet"])


def test_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"not at all")
    assert "a.parquet" in refusal(tmp_path, files=["*.parquet"])


def test_digest_of_every_file_is_kept(tmp_path: Path) -> None:
    write_csv(tmp_path / "a" / "1.csv", HEADER, ROWS)
    write_csv(tmp_path / "b" / "1.csv", HEADER, ROWS[:1])
    assert sorted(read(tmp_path, files=["*/1.csv"]).digests) == ["a/1.csv", "b/1.csv"]
