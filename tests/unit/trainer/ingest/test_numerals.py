"""The decimal mark is found where the data proves it, and asked for where it does not."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.recordings import recipe, write_csv, write_parquet
from tests.kit.wording import names
from trainer.errors import DataError, RecipeError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

HEADER = ["time", "pressure", "flow"]


def write(folder: Path, *rows: tuple[str, str], name: str = "a.csv") -> None:
    stamped = [(f"2025-03-01T00:00:{second:02d}Z", *row) for second, row in enumerate(rows)]
    write_csv(folder / name, HEADER, stamped, ";")


def read(folder: Path, **data: object) -> Recording:
    description = recipe(folder, data=data)
    return load(description.data, description.signals)


def refusal(folder: Path, **data: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, **data)
    return str(caught.value)


def test_decimal_comma_is_found_and_said(tmp_path: Path) -> None:
    write(tmp_path, ("12", "-0,5"), ("12,5", "1,5E-3"), ("", ",5"))
    recording = read(tmp_path)
    assert np.array_equal(
        recording.values, [[12, -0.5], [12.5, 0.0015], [np.nan, 0.5]], equal_nan=True
    )
    (note,) = recording.notes
    assert names(note, "decimal comma", "a.csv line 3, column 'pressure': found '12,5'")


def test_decimal_comma_between_quotes_is_found_in_a_file_of_commas(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('time,pressure,flow\n2025-03-01T00:00:00Z,"12,5","3"\n')
    assert read(tmp_path).values.tolist() == [[12.5, 3.0]]


def test_decimal_comma_without_quotes_in_a_file_of_commas_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,pressure,flow\n2025-03-01T00:00:00Z,12,5,3,1\n")
    assert "decimal comma" in refusal(tmp_path)


def test_proof_in_a_later_file_decides_for_all(tmp_path: Path) -> None:
    write(tmp_path, ("1,234", "2,345"), name="1.csv")
    write(tmp_path, ("1,5", "2"), name="2.csv")
    assert read(tmp_path).values.tolist() == [[1.234, 2.345], [1.5, 2.0]]


def test_commas_that_could_separate_thousands_are_not_guessed_at(tmp_path: Path) -> None:
    write(tmp_path, ("1,234", "200"), ("12,345", "201"))
    told = refusal(tmp_path)
    assert "a.csv line 2, column 'pressure': found '1,234'" in told
    assert names(told, "1.234 or 1234", "data.decimal = ','", "data.thousands = ','")
    assert read(tmp_path, decimal=",").values.tolist() == [[1.234, 200.0], [12.345, 201.0]]


def test_points_that_could_separate_thousands_are_not_guessed_at(tmp_path: Path) -> None:
    write(tmp_path, ("1.297", "784"), ("2.333", "780"))
    told = refusal(tmp_path)
    assert "a.csv line 2, column 'pressure': found '1.297'" in told
    assert names(told, "1.297 or 1297", "data.decimal = '.'", "data.thousands = '.'")
    assert read(tmp_path, decimal=".").values.tolist() == [[1.297, 784.0], [2.333, 780.0]]
    assert read(tmp_path, thousands=".").values.tolist() == [[1297.0, 784.0], [2333.0, 780.0]]


@pytest.mark.parametrize("proof", ["0.784", "12.34", "1234.567"])
def test_point_that_cannot_separate_thousands_proves_a_decimal_point(
    tmp_path: Path, proof: str
) -> None:
    write(tmp_path, ("1.297", "784"), (proof, "780"))
    assert read(tmp_path).values[0].tolist() == [1.297, 784.0]


@pytest.mark.parametrize(("below", "is_asked"), [("2.333", False), ("784", True)])
def test_point_between_commas_is_decimal_unless_other_numbers_of_its_column_lack_it(
    tmp_path: Path, below: str, *, is_asked: bool
) -> None:
    stamped = [("2025-03-01T00:00:00Z", "1.297", "7"), ("2025-03-01T00:00:01Z", below, "8")]
    write_csv(tmp_path / "a.csv", HEADER, stamped)
    if is_asked:
        assert "data.thousands = '.'" in refusal(tmp_path)
    else:
        assert read(tmp_path).values[:, 0].tolist() == [1.297, 2.333]


@pytest.mark.parametrize(
    ("written", "mark"),
    [
        ("-1.234.567,5", "."),
        ("-1,234,567.5", ","),
        ("-1'234'567.5", "'"),
        ("-1 234 567,5", " "),
        pytest.param("-1\u202f234\u202f567,5", " ", id="narrow hard space"),
    ],
)
def test_thousands_are_read_by_the_mark_that_the_recipe_names(
    tmp_path: Path, written: str, mark: str
) -> None:
    write(tmp_path, (written, "999"))
    assert read(tmp_path, thousands=mark).values.tolist() == [[-1234567.5, 999.0]]


def test_mark_of_thousands_that_is_the_decimal_mark_too_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, decimal=",", thousands=",")
    assert names(str(caught.value), "thousands and decimal are both ','", "they must differ")


@pytest.mark.parametrize(
    ("written", "key", "value"),
    [("1,234.5", "thousands", 1234.5), ("12,5", "decimal", 12.5)],
    ids=["thousands", "decimal"],
)
def test_mark_in_quotes_may_be_the_separator_too(
    tmp_path: Path, written: str, key: str, value: float
) -> None:
    (tmp_path / "a.csv").write_text(f'time,pressure,flow\n2025-03-01T00:00:00Z,"{written}",3\n')
    recording = read(tmp_path, **{"separator": ",", key: ","})
    assert recording.values.tolist() == [[value, 3.0]]


@pytest.mark.parametrize("sign", ["\u2212", "\u2013"], ids=["minus", "dash"])
def test_minus_sign_of_typesetting_is_read_and_said(tmp_path: Path, sign: str) -> None:
    write(tmp_path, (f"{sign}0.74", "1"), ("-2.5", f"{sign}3e-2"))
    recording = read(tmp_path)
    assert recording.values.tolist() == [[-0.74, 1.0], [-2.5, -0.03]]
    (note,) = recording.notes
    assert names(note, "read as minus", f"a.csv line 2, column 'pressure': found '{sign}0.74'")


@pytest.mark.parametrize("decimal", [None, ".", ","])
@pytest.mark.parametrize(
    "found",
    ["1.234,5", "1,234.5", "1 234,5", "1'234.5", pytest.param("1\u00a0234", id="hard space")],
)
def test_separated_thousands_are_refused(tmp_path: Path, found: str, decimal: str | None) -> None:
    write(tmp_path, (found, "1"))
    told = refusal(tmp_path, decimal=decimal)
    assert f"a.csv line 2, column 'pressure': found '{found}'" in told


@pytest.mark.parametrize("rows", [[("12,5", "1.5")], [("1.5", "1")] * 2 + [("12,5", "1")]])
def test_both_marks_are_told_with_both_places(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    write(tmp_path, *rows)
    told = refusal(tmp_path)
    assert names(told, f"a.csv line {len(rows) + 1}, column 'pressure'", "'12,5'", "a.csv line 2")
    assert "found '1.5'" in told


def test_point_is_refused_where_the_recipe_says_comma(tmp_path: Path) -> None:
    write(tmp_path, ("1.234", "1,5"))
    assert names(refusal(tmp_path, decimal=","), "'1.234'", "data.decimal", "','")


def test_decimal_comma_in_the_texts_of_a_parquet_file_is_found(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", time=["2025-03-01"], pressure=["12,5"], flow=[1.0])
    assert read(tmp_path, files=["*.parquet"]).values.tolist() == [[12.5, 1.0]]


@pytest.mark.parametrize("written", ["-9999", "-9999.0", "-9.999E3"])
def test_number_that_means_no_value_is_missing_however_it_is_written(
    tmp_path: Path, written: str
) -> None:
    write(tmp_path, (written, "1"))
    write_parquet(tmp_path / "b.parquet", time=["2025-03-02T00:00Z"], pressure=[-9999.0], flow=[1])
    values = read(tmp_path, files=["a.csv", "b.parquet"], na_values=["-9999"]).values
    assert np.array_equal(values, [[np.nan, 1.0], [np.nan, 1.0]], equal_nan=True)


@given(st.lists(st.decimals(-(10**6), 10**6, places=2), min_size=1, max_size=20))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_are_the_same_with_either_mark(tmp_path: Path, numbers: list[object]) -> None:
    for name, mark in (("point", "."), ("comma", ",")):
        rows = [
            (str(number).replace(".", mark), str(second)) for second, number in enumerate(numbers)
        ]
        write(tmp_path, *rows, name=f"{name}.csv")
    point, comma = (read(tmp_path, files=[f"{name}.csv"]) for name in ("point", "comma"))
    assert np.array_equal(point.values, comma.values)
    assert point.notes == ()
    assert comma.notes
