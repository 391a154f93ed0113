"""Columns that stand in other files, line by line."""

from pathlib import Path
from typing import Any

import pytest

from tests.kit.recordings import recipe, write_csv
from tests.kit.wording import names
from trainer.errors import DataError, RecipeError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording


def write(folder: Path, name: str, rows: int) -> None:
    write_csv(folder / name, ["pressure", "flow"], [(i, ord(name[0])) for i in range(rows)])


def beside(files: dict[str, str], **keys: object) -> dict[str, Any]:
    return {"column": "state", "files": files, **keys}


def read(folder: Path, *columns: dict[str, Any], **data: object) -> Recording:
    made = recipe(folder, data={"time": {"unit": "s"}, "beside": [*columns], **data})
    return load(made.data, made.signals, texts=["state"])


def refusal(folder: Path, *columns: dict[str, Any], **data: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, *columns, **data)
    return str(caught.value)


def test_each_row_has_the_text_of_its_line(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", 3)
    write(tmp_path, "b.csv", 2)
    (tmp_path / "a.txt").write_text("ok,1\nok,2\nbad,3\n")
    (tmp_path / "b.txt").write_text("3\n4.0\n")
    recording = read(tmp_path, beside({"a.csv": "a.txt", "b.csv": "b.txt"}))
    assert recording.texts["state"].tolist() == ["ok", "ok", "bad", "3", "4"]
    assert {"data.beside/a.txt", "data.beside/b.txt"} < {*recording.digests}


def test_lines_go_on_in_every_block_of_a_large_file(tmp_path: Path) -> None:
    header = ["pressure", "flow", *[f"unused{number}" for number in range(1100)]]
    write_csv(tmp_path / "a.csv", header, [(i, 1, *[0] * 1100) for i in range(2000)])
    (tmp_path / "a.txt").write_text("".join(f"{row}\n" for row in range(2000)))
    recording = read(tmp_path, beside({"a.csv": "a.txt"}))
    assert recording.texts["state"].tolist() == [str(row) for row in range(2000)]


def test_row_without_values_keeps_the_lines_with_their_rows(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["pressure", "flow"], [(1, 2), ("NaN", "NaN"), (3, ""), (5, 6)])
    (tmp_path / "a.txt").write_text("first\nsecond\nthird\nfourth\n")
    recording = read(tmp_path, beside({"a.csv": "a.txt"}))
    assert recording.texts["state"].tolist() == ["first", "third", "fourth"]


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("1\n2\n", 1, ["a.txt", "2 lines", "a.csv", "3 rows"]),
        ("1\n2\n3\n4\n", 1, ["a.txt", "4 lines", "3 rows"]),
        ("1 1\n2\n3 3\n", 2, ["a.txt line 2", "1 fields", "field 2", "'state'"]),
        ("", 1, ["a.txt", "0 lines", "3 rows"]),
    ],
    ids=["too few", "too many", "a short line", "empty"],
)
def test_lines_that_do_not_fit_the_rows_are_told(
    tmp_path: Path, text: str, field: int, said: list[str]
) -> None:
    write(tmp_path, "a.csv", 3)
    (tmp_path / "a.txt").write_text(text)
    assert names(refusal(tmp_path, beside({"a.csv": "a.txt"}, field=field)), *said)


def test_data_file_without_lines_is_told_to_lack_the_column(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", 3)
    write(tmp_path, "b.csv", 3)
    (tmp_path / "a.txt").write_text("1\n2\n3\n")
    assert names(refusal(tmp_path, beside({"a.csv": "a.txt"})), "b.csv line 1", "state")


def test_file_beside_that_is_not_there_is_told(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", 3)
    assert names(refusal(tmp_path, beside({"a.csv": "none.txt"})), "data.beside", "none.txt")


def test_column_that_a_file_without_a_header_lacks_is_told_with_its_columns(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv").write_text("1 2\n3 4\n")
    said = refusal(tmp_path, columns=["pressure", "flow"])
    assert names(said, "a.csv", "data.columns", "state", "pressure, flow")


def test_mistake_in_a_column_beside_is_told_before_a_row_is_read(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path, data={"beside": [beside({}, field=0)]})
    assert names(caught.value, "data.beside[0].files", "data.beside[0].field", "found 0")
