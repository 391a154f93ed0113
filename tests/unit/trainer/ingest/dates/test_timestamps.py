"""How dates are written is found in the data, or asked for; never guessed."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.recordings import recipe, write_csv, write_parquet
from tests.kit.wording import names
from trainer.errors import DataError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording
from trainer.recipe.time_section import UNIT_NS

HEADER = ["time", "pressure", "flow"]


def write(folder: Path, *stamps: str, name: str = "a.csv") -> None:
    write_csv(folder / name, HEADER, [(stamp, 1, 2) for stamp in stamps], ";")


def read(folder: Path, **time: str) -> Recording:
    description = recipe(folder, data={"files": ["*.*[vt]"], "time": {"column": "time", **time}})
    return load(description.data, description.signals)


def refusal(folder: Path, **time: str) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, **time)
    return str(caught.value)


def moments(recording: Recording) -> list[str]:
    return [str(stamp) for stamp in recording.times_ns.astype("datetime64[ns]").astype("M8[ms]")]


@pytest.mark.parametrize(
    ("stamps", "last", "found"),
    [
        (["03/04/2025", "13/04/2025"], "2025-04-13T00:00:00.000", "'%d/%m/%Y', day first"),
        (["3/4/2025 7:05", "4/13/2025 7:05"], "2025-04-13T07:05:00.000", "'%m/%d/%Y %H:%M', month"),
        (["13.04.2025 07:05:09"], "2025-04-13T07:05:09.000", "'%d.%m.%Y %H:%M:%S', day first"),
        (["13.04.2025 07:05:09,25"], "2025-04-13T07:05:09.250", "'%d.%m.%Y %H:%M:%S,%f', day"),
        (["4/13/2025 1:05:00 PM"], "2025-04-13T13:05:00.000", "'%m/%d/%Y %I:%M:%S %p', month"),
        (["2025/04/13 07:05"], "2025-04-13T07:05:00.000", "'%Y/%m/%d %H:%M', year first"),
        (["2025-04-13 07:05:09,5"], "2025-04-13T07:05:09.500", "'%Y-%m-%d %H:%M:%S,%f', year"),
        (["13-APR-25 07:05:09.5"], "2025-04-13T07:05:09.500", "'%d-%b-%y %H:%M:%S.%f', day"),
        (["13 April 2025 07:05"], "2025-04-13T07:05:00.000", "'%d %B %Y %H:%M', day first"),
        (["Apr 13, 2025 07:05"], "2025-04-13T07:05:00.000", "'%b %d, %Y %H:%M', month first"),
        (["13.04.2025 07:05 +0200"], "2025-04-13T05:05:00.000", "'%d.%m.%Y %H:%M %z', day first"),
        (["2004.02.12.10.32.39"], "2004-02-12T10:32:39.000", "'%Y.%m.%d.%H.%M.%S', year first"),
        (["2004-02-12_10-32-39"], "2004-02-12T10:32:39.000", "'%Y-%m-%d_%H-%M-%S', year first"),
        (["20040212_1032"], "2004-02-12T10:32:00.000", "'%Y%m%d_%H%M', year first"),
        (["20040212T103239.5Z"], "2004-02-12T10:32:39.500", "'%Y%m%dT%H%M%S.%f%z', year first"),
        (["13.02.2004 10.32.39"], "2004-02-13T10:32:39.000", "'%d.%m.%Y %H.%M.%S', day first"),
        (["2/13/2004, 7:05 AM"], "2004-02-13T07:05:00.000", "'%m/%d/%Y, %I:%M %p', month first"),
        (["41/12/31"], "2041-12-31T00:00:00.000", "'%y/%m/%d', year first"),
    ],
)
def test_format_that_alone_fits_all_rows_is_taken_and_said(
    tmp_path: Path, stamps: list[str], last: str, found: str
) -> None:
    write(tmp_path, *stamps)
    recording = read(tmp_path)
    assert moments(recording)[-1] == last
    (note,) = recording.notes
    assert found in note
    assert f"a.csv line {len(stamps) + 1}, column 'time': found '{stamps[-1]}'" in note


@given(st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)), st.sampled_from("dm"))  # noqa: DTZ001  local time as written
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_of_day_and_month_is_never_guessed(
    tmp_path: Path, moment: datetime, first: str
) -> None:
    form = "%d/%m/%Y %H:%M" if first == "d" else "%m/%d/%Y %H:%M"
    write(tmp_path, moment.strftime(form))
    if moment.day == moment.month or moment.day > 12:
        expected = moment.replace(second=0, microsecond=0, tzinfo=UTC)
        assert read(tmp_path).times_ns.tolist() == [int(expected.timestamp()) * 10**9]
    else:
        assert "day first" in refusal(tmp_path)


def test_proof_in_a_later_file_decides_for_all(tmp_path: Path) -> None:
    write(tmp_path, "03/04/2025 00:00", name="1.csv")
    write(tmp_path, "04/13/2025 00:00", name="2.csv")
    recording = read(tmp_path)
    assert moments(recording)[0] == "2025-03-04T00:00:00.000"
    assert names(
        recording.notes[0], "month first", "2.csv line 2, column 'time'", "'04/13/2025 00:00'"
    )


def test_dates_that_could_be_either_show_both_readings_and_the_line_to_write(
    tmp_path: Path,
) -> None:
    write(tmp_path, "03/03/2025 00:00", "03/04/2025 00:00")
    told = refusal(tmp_path, zone="Europe/Berlin")
    assert names(told, "a.csv line 3, column 'time'", "2025-04-03 00:00:00", "day first")
    assert names(told, "2025-03-04 00:00:00", "month first")
    for form in ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"):
        line = f'time = {{ column = "time", format = "{form}", zone = "Europe/Berlin" }}'
        assert line in told
    assert moments(read(tmp_path, format="%m/%d/%Y %H:%M"))[1] == "2025-03-04T00:00:00.000"


def test_dates_that_are_the_same_either_way_are_taken(tmp_path: Path) -> None:
    write(tmp_path, "03/03/2025 00:00", "04/04/2025 00:00")
    recording = read(tmp_path)
    assert moments(recording)[1] == "2025-04-04T00:00:00.000"
    assert len(recording.notes) == 1


@pytest.mark.parametrize(
    ("stamps", "line", "other"),
    [
        (
            ["03/04/2025", "13/04/2025", "04/13/2025"],
            4,
            "line 3, column 'time': found '13/04/2025'",
        ),
        (["13.04.2025", "2025-04-14"], 3, "line 2, column 'time': found '13.04.2025'"),
        (["2025-04-14", "15.04.2025"], 3, "line 2, column 'time': found '2025-04-14'"),
        (["13.04.2025 00:00", "13.04.2025"], 3, "line 2, column 'time': found '13.04.2025 00:00'"),
    ],
)
def test_dates_written_in_two_ways_are_told_with_both_places(
    tmp_path: Path, stamps: list[str], line: int, other: str
) -> None:
    write(tmp_path, *stamps)
    told = refusal(tmp_path)
    assert f"a.csv line {line}, column 'time': found '{stamps[-1]}'; but a.csv {other}" in told
    assert "ISO 8601" in told


def test_files_that_contradict_each_other_are_both_named(tmp_path: Path) -> None:
    write(tmp_path, "13/04/2025", name="1.csv")
    write(tmp_path, "04/13/2025", name="2.csv")
    told = refusal(tmp_path)
    assert names(told, "2.csv line 2, column 'time'", "'04/13/2025'", "1.csv line 2")


def test_file_with_time_zones_beside_one_without_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "2025-03-01T00:00Z", name="1.csv")
    write(tmp_path, "2025-03-01T00:00", name="2.csv")
    assert "time zone" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("stamp", "said"),
    [
        ("1740787200", "unit = 's' reads it as 2025-03-01 00:00:00"),
        ("1740787200000", "unit = 'ms' reads it as 2025-03-01 00:00:00"),
        ("45717.5", "unit = 'd' with origin = 1899-12-30T00:00:00Z as 2025-03-01 12:00:00"),
        ("20250301", "format = '%Y%m%d'"),
        ("17", "data.time.unit or data.time.format"),
        ("2025", "data.time.unit or data.time.format"),
    ],
)
def test_number_is_no_date_until_the_recipe_says_so(tmp_path: Path, stamp: str, said: str) -> None:
    write(tmp_path, stamp)
    told = refusal(tmp_path)
    assert f"a.csv line 2, column 'time': found '{stamp}'" in told
    assert said in told


@pytest.mark.parametrize(
    ("stamps", "line"),
    [(["31/31/2025"], 2), (["2025-03-01", "9999-12-31"], 3), (["2025-03-01", "2025-02-30"], 3)],
)
def test_date_that_cannot_be_is_refused(tmp_path: Path, stamps: list[str], line: int) -> None:
    write(tmp_path, *stamps)
    told = refusal(tmp_path)
    assert f"a.csv line {line}, column 'time': found '{stamps[-1]}'" in told


def test_year_that_nanoseconds_cannot_say_is_refused_under_a_given_format(tmp_path: Path) -> None:
    write(tmp_path, "31.12.9999")
    assert "1678 to 2261" in refusal(tmp_path, format="%d.%m.%Y")


def test_hour_that_is_never_there_counts_only_under_the_right_format(tmp_path: Path) -> None:
    # The 9th of March has no 02:30 in New York; the 3rd of September has.
    write(tmp_path, "09/03/2025 02:30", "09/13/2025 02:30")
    assert moments(read(tmp_path, zone="America/New_York"))[0] == "2025-09-03T06:30:00.000"
    write(tmp_path, "09/03/2025 02:30", "13/03/2025 02:30")
    assert "America/New_York" in refusal(tmp_path, zone="America/New_York")


def test_dates_stay_undecided_across_blocks_until_one_row_proves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.ingest.csv_file._BLOCK_CELLS", 70 * len(HEADER))
    stamps = [
        f"0{1 + number % 9}/02/2025 00:{number // 60:02d}:{number % 60:02d}"
        for number in range(300)
    ]
    write(tmp_path, *stamps, "28/02/2025 00:00:00")
    recording = read(tmp_path)
    assert {moment[:7] for moment in moments(recording)} == {"2025-02"}
    assert recording.notes[0].endswith("a.csv line 302, column 'time': found '28/02/2025 00:00:00'")
    assert sorted(recording.line.tolist()) == list(range(2, 303))


def test_nanoseconds_since_1970_are_kept_to_the_last(tmp_path: Path) -> None:
    write(tmp_path, "1740787200000000001", "1740787200000000003")
    stamps = read(tmp_path, unit="ns").times_ns
    assert stamps.tolist() == [1740787200000000001, 1740787200000000003]
    write_parquet(tmp_path / "b.parquet", time=[1740787200000000002], pressure=[1.0], flow=[1.0])
    assert 1740787200000000002 in read(tmp_path, unit="ns").times_ns.tolist()


def test_times_of_a_parquet_file_go_with_dates_in_text(tmp_path: Path) -> None:
    typed = pa.array([datetime(2025, 3, 1, 12, tzinfo=UTC)], pa.timestamp("us", tz="Europe/Berlin"))
    write_parquet(tmp_path / "a.parquet", time=typed, pressure=[1.0], flow=[1.0])
    write(tmp_path, "03/04/2025 00:00", "13/04/2025 00:00", name="b.csv")
    write_parquet(tmp_path / "c.parquet", time=typed, pressure=[2.0], flow=[1.0])
    recording = read(tmp_path)
    assert moments(recording)[:3] == ["2025-03-01T12:00:00.000"] * 2 + ["2025-04-03T00:00:00.000"]
    assert np.array_equal(recording.values[:, 0], [1.0, 2.0, 1.0, 1.0])


def test_date_and_time_in_two_columns_are_one_time(tmp_path: Path) -> None:
    rows = [("16/12/2006", "17:24:00", 1, 2), ("17/12/2006", " 00:00:00", 1, 2)]
    write_csv(tmp_path / "a.csv", ["Date", "Time", "pressure", "flow"], rows, ";")
    made = recipe(tmp_path, data={"files": ["*.csv"], "time": {"column": ["Date", "Time"]}})
    recording = load(made.data, made.signals)
    assert moments(recording) == ["2006-12-16T17:24:00.000", "2006-12-17T00:00:00.000"]
    assert "column 'Date Time': found '16/12/2006 17:24:00'" in recording.notes[0]


def test_two_columns_that_are_ambiguous_are_told_with_the_line_to_write(tmp_path: Path) -> None:
    rows = [("06/12/2006", "17:24:00", 1, 2)]
    write_csv(tmp_path / "a.csv", ["Date", "Time", "pressure", "flow"], rows, ";")
    made = recipe(tmp_path, data={"files": ["*.csv"], "time": {"column": ["Date", "Time"]}})
    with pytest.raises(DataError) as caught:
        load(made.data, made.signals)
    assert 'time = { column = ["Date", "Time"], format = "%d/%m/%Y %H:%M:%S" }' in str(caught.value)


def test_format_that_does_not_fit_is_told_with_one_that_does(tmp_path: Path) -> None:
    write(tmp_path, "2015-01-01 06:00:00")
    told = refusal(tmp_path, format="%m/%d/%Y %I:%M:%S %p")
    assert names(told, "data.time.format", "'%m/%d/%Y %I:%M:%S %p'", "'ISO 8601'")


def test_count_in_another_unit_is_told_with_the_likely_one(tmp_path: Path) -> None:
    write(tmp_path, "1740787200000")
    assert names(refusal(tmp_path, unit="s"), "unit = 'ms'", "2025-03-01 00:00:00")


def test_clock_that_is_not_set_twice_a_year_is_told_as_such(tmp_path: Path) -> None:
    write(tmp_path, "2025-03-30 01:55", "2025-03-30 02:00")
    told = refusal(tmp_path, zone="Europe/Berlin")
    assert "Europe/Berlin" in told
    assert "'Etc/GMT-1'" in told


@pytest.mark.parametrize(
    "time",
    [
        {"column": "time", "unit": "d", "origin": datetime(2200, 1, 1, tzinfo=UTC)},
        {"unit": "d", "origin": datetime(2254, 12, 30, tzinfo=UTC)},
    ],
)
def test_count_that_leads_beyond_all_years_is_refused(
    tmp_path: Path, time: dict[str, object]
) -> None:
    write(tmp_path, *["100000"] * 200)
    made = recipe(tmp_path, data={"files": ["*.csv"], "time": time})
    with pytest.raises(DataError, match="since 2"):
        load(made.data, made.signals)


@pytest.mark.parametrize(
    ("every", "unit", "second"),
    [(15, "min", 900_000_000_000), (2.5, "s", 2_500_000_000), (0.0000390625, "s", 39_062)],
    ids=["quarters of an hour", "a part of a second", "a block of vibration"],
)
def test_rows_without_a_column_of_times_are_so_many_units_apart(
    tmp_path: Path, every: float, unit: str, second: int
) -> None:
    write(tmp_path, "x", "y", "z")
    axis = {"unit": unit, "every": every, "column": None}
    description = recipe(tmp_path, data={"time": {k: v for k, v in axis.items() if v is not None}})
    first, then, last = load(description.data, description.signals).times_ns.tolist()
    assert (first, then, last) == (0, second, round(2 * every * UNIT_NS[unit]))


def test_file_whose_name_is_its_moment_of_begin_gives_its_rows_their_times(tmp_path: Path) -> None:
    for name, value in (("2004.02.12.10.32.39", 1), ("2004.02.12.10.42.39", 2)):
        (tmp_path / "test" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "test" / name).write_text(f"0.{value}\t-0.1\n0.2\t-0.{value}\n")
    description = recipe(
        tmp_path,
        data={
            "files": ["test/*"],
            "columns": ["pressure", "flow"],
            "file_template": "{start}",
            "time": {"column": "start", "step_s": 0.5},
        },
    )
    assert moments(load(description.data, description.signals)) == [
        "2004-02-12T10:32:39.000",
        "2004-02-12T10:32:39.500",
        "2004-02-12T10:42:39.000",
        "2004-02-12T10:42:39.500",
    ]


def test_rows_of_one_time_are_a_step_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ["pressure", "flow"]
    monkeypatch.setattr("trainer.ingest.csv_file._BLOCK_CELLS", 260 * len(columns))
    for start in ("2004.02.12.10.32.39", "2004.02.12.10.42.39"):
        (tmp_path / start).write_text("".join(f"{one}\t{start[14]}\n" for one in range(600)))
    time = {"column": "start", "format": "%Y.%m.%d.%H.%M.%S", "step_s": 0.0005}
    data = {"files": ["2004*"], "columns": columns, "file_template": "{start}", "time": time}
    made = recipe(tmp_path, data=data)
    recording = load(made.data, made.signals)
    assert recording.values[:, 0].tolist() == [*range(600)] * 2
    assert {*np.diff(recording.times_ns[:600]).tolist()} == {500_000}
    assert {*np.diff(recording.times_ns[600:]).tolist()} == {500_000}
    assert moments(recording)[599:601] == ["2004-02-12T10:32:39.299", "2004-02-12T10:42:39.000"]


def test_step_is_of_rows_that_follow_each_other(tmp_path: Path) -> None:
    write(tmp_path, *["2025-03-01 00:00:00"] * 2, *["2025-03-01 00:00:01"] * 2)
    made = recipe(tmp_path, data={"files": ["*.csv"], "time": {"column": "time", "step_s": 0.5}})
    times = load(made.data, made.signals).times_ns
    assert ((times - times[0]) / 1e9).tolist() == [0, 0.5, 1, 1.5]


def test_unit_that_leads_to_an_unlikely_year_is_told(tmp_path: Path) -> None:
    write(tmp_path, "1740787200", "1740787260")
    (said,) = read(tmp_path, unit="ms").notes
    assert names(said, "1970-01-21T03:33:07Z", "a.csv line 2")
    assert names(said, "unit = 's'", "2025-03-01 00:00:00")
    assert not read(tmp_path, unit="s").notes
    write(tmp_path, "1", "2")
    assert not read(tmp_path, unit="h").notes


@pytest.mark.parametrize(
    ("stamp", "form"),
    [
        ("2025-03-01 13:00:00 CET", "%Y-%m-%d %H:%M:%S CET"),
        ("28.03.2025 13:00:00 CET", "%d.%m.%Y %H:%M:%S CET"),
    ],
)
def test_name_of_a_time_zone_is_told_with_a_format_that_reads_it(
    tmp_path: Path, stamp: str, form: str
) -> None:
    write(tmp_path, stamp)
    assert f"set data.time.format = '{form}'" in refusal(tmp_path)
    assert moments(read(tmp_path, format=form, zone="Etc/GMT-1"))[0].endswith("T12:00:00.000")


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("13-Mai-2025 07:05", "2025-05-13T07:05"),
        ("13.Okt.2025 07:05", "2025-10-13T07:05"),
        ("13 März 2025 07:05", "2025-03-13T07:05"),
        ("13 août 2025 07:05", "2025-08-13T07:05"),
        ("13-dic-25 07:05", "2025-12-13T07:05"),
        ("13 października 2025", "2025-10-13T00:00"),
    ],
    ids=["german with dashes", "german with dots", "german", "french", "spanish", "polish"],
)
def test_month_of_another_language_is_read(tmp_path: Path, stamp: str, moment: str) -> None:
    write(tmp_path, stamp)
    assert moments(read(tmp_path)) == [f"{np.datetime64(moment, 'ms')}"]


@pytest.mark.parametrize("form", ["%d-%b-%Y", "%d-%B-%Y"])
def test_month_of_another_language_is_read_by_a_given_format(tmp_path: Path, form: str) -> None:
    write(tmp_path, "13-Mai-2025", "14-Dezember-2025")
    assert moments(read(tmp_path, format=form))[-1] == "2025-12-14T00:00:00.000"


def test_word_that_is_no_month_is_named(tmp_path: Path) -> None:
    write(tmp_path, "13-Mai-2025", "14-Mia-2025")
    told = refusal(tmp_path)
    assert names(told, "a.csv line 3, column 'time': found '14-Mia-2025'", "'Mia' is no month")


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("31.12.2024 24:00:00", "%d.%m.%Y %H:%M:%S"),
        ("31.12.2024 24:00", None),
        ("2024-12-31T24:00:00Z", None),
    ],
    ids=["format given", "format found", "ISO 8601"],
)
def test_24_o_clock_is_0_h_of_the_next_day_and_said(
    tmp_path: Path, written: str, form: str | None
) -> None:
    write(tmp_path, written)
    recording = read(tmp_path, **({"format": form} if form else {}))
    assert moments(recording) == ["2025-01-01T00:00:00.000"]
    said = f"24:00 is taken as 0 h of the next day: a.csv line 2, column 'time': found '{written}'"
    assert said in recording.notes


@pytest.mark.parametrize("written", ["31.12.2024 24:05:00", "31.12.2024 25:00:00"])
def test_hour_that_no_day_has_is_named(tmp_path: Path, written: str) -> None:
    write(tmp_path, "30.12.2024 23:00:00", written)
    hour = written.split()[1][:2]
    assert names(refusal(tmp_path), "a.csv line 3", f"the hour is {hour}", "allowed are 00 to 23")


def test_hour_that_comes_twice_is_read_in_the_zone_where_both_passes_are_there(
    tmp_path: Path,
) -> None:
    local = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    write(tmp_path, *(f"2024-10-27 {hour}:00" for hour in local))
    recording = read(tmp_path, zone="Europe/Berlin")
    assert np.diff(recording.times_ns).tolist() == [1800 * 10**9] * 5


def test_hour_that_comes_twice_is_refused_where_one_pass_is_there(tmp_path: Path) -> None:
    write(tmp_path, "2024-10-27 01:30:00", "2024-10-27 02:30:00", "2024-10-27 03:00:00")
    assert "that hour is there twice in Europe/Berlin" in refusal(tmp_path, zone="Europe/Berlin")
