"""Labels that no column has are made by rules."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.kit.recordings import Row, recipe, write_csv
from tests.kit.wording import names
from trainer.dataset.training_rows import training_rows
from trainer.errors import DataError, RecipeError
from trainer.search.journal import path_of

HEADER = ["time", "pressure", "flow"]
REST = {"label": "normal"}
TARGET = {"task": "anomaly", "column": "label", "normal": "normal"}
SECONDS = {"column": "time", "unit": "s"}
Rule = Mapping[str, object]


def write(folder: Path, count: int = 6, name: str = "a.csv", **further: list[object]) -> None:
    added = zip(*further.values(), strict=True) if further else [()] * count
    lines: list[Row] = [
        (number, ord(name[0]), number, *more)
        for number, more in zip(range(count), added, strict=True)
    ]
    write_csv(folder / name, [*HEADER, *further], lines)


def labels(folder: Path, *rules: Rule, **sections: object) -> list[str]:
    """The label of each row, file by file."""
    data = {"time": SECONDS, **sections.pop("data", {})}  # type: ignore[dict-item]  # a mapping
    made = recipe(folder, labels=[*rules], data=data, **{"target": TARGET, **sections})
    recording, _ = training_rows(made)
    found = recording.texts["label"]
    order = sorted(range(len(found)), key=lambda row: (recording.file[row], recording.line[row]))
    return [found[row] for row in order]


def refusal(folder: Path, *rules: Rule, **sections: object) -> str:
    with pytest.raises((DataError, RecipeError)) as caught:
        labels(folder, *rules, **sections)
    return str(caught.value)


def spans(folder: Path, *lines: Row, asset: bool = False) -> Rule:
    header = ["from", "to", "label", *(["asset"] if asset else [])]
    write_csv(folder / "stops.txt", header, lines, ";")
    return {"spans": "stops.txt"}


def test_column_of_labels_that_is_not_there_is_told_with_the_rules(tmp_path: Path) -> None:
    write(tmp_path)
    data = {"time": SECONDS}
    with pytest.raises(DataError) as caught:
        training_rows(recipe(tmp_path, data=data, target={**TARGET, "column": "state"}))
    assert names(
        caught.value, "a.csv line 1", "state", "[[labels]]", "until_row", "[[data.beside]]"
    )


def test_first_rows_of_each_run_have_a_label(tmp_path: Path) -> None:
    write(tmp_path, 4, "a.csv")
    write(tmp_path, 3, "b.csv")
    found = labels(
        tmp_path,
        {"until_row": 2, "label": "normal"},
        {"label": "leak"},
        data={"asset_from": "file"},
    )
    assert found == ["normal"] * 2 + ["leak"] * 2 + ["normal"] * 2 + ["leak"]


def test_rows_of_several_files_without_assets_are_not_counted(tmp_path: Path) -> None:
    write(tmp_path, name="a.csv")
    write(tmp_path, name="b.csv")
    said = refusal(tmp_path, {"until_row": 2, "label": "normal"}, {"label": "leak"})
    assert names(said, "labels[0].until_row", "2 files", "data.asset_from = 'file'")


def test_names_of_files_have_labels_and_the_first_rule_that_fits_decides(tmp_path: Path) -> None:
    for name in ("d00.csv", "d01.csv", "d02.csv"):
        write(tmp_path, 3, name)
        (tmp_path / name).write_text((tmp_path / name).read_text().replace("100,", f"{name[2]},"))
    found = labels(
        tmp_path,
        {"files": "d00*", "label": "normal"},
        {"until_row": 1, "label": "normal"},
        {"files": ["d01*", "x*"], "label": "feed"},
        {"label": ""},
        data={"asset_from": "file"},
    )
    assert found == ["normal"] * 4 + ["feed"] * 2 + ["normal"] + [""] * 2


def test_pattern_of_no_file_is_told_with_the_files_that_are_there(tmp_path: Path) -> None:
    write(tmp_path)
    said = refusal(tmp_path, {"files": "d1*", "label": "x"}, REST)
    assert names(said, "labels[0].files", "d1*", "a.csv")


def test_span_of_time_has_its_begin_and_not_its_end(tmp_path: Path) -> None:
    write(tmp_path)
    found = labels(tmp_path, spans(tmp_path, (1, 3, "leak"), (4, 5, "stop")), REST)
    assert found == ["normal", "leak", "leak", "normal", "stop", "normal"]


def test_spans_may_be_of_one_asset(tmp_path: Path) -> None:
    write(tmp_path, 3, "a.csv")
    write(tmp_path, 3, "b.csv")
    rule = spans(tmp_path, (0, 2, "leak", "b"), (2, 3, "stop", "a"), asset=True)
    found = labels(tmp_path, rule, REST, data={"asset_from": "file"})
    assert found == ["normal", "normal", "stop", "leak", "leak", "normal"]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2025-03-01T00:00:01Z", "2025-03-01T00:00:03Z"),
        ("2025-03-01 01:00:01", "2025-03-01 01:00:03"),
        ("01.03.2025 01:00:01", "01.03.2025 01:00:03"),
    ],
    ids=["in UTC", "in the zone of the data", "as the data write dates"],
)
def test_times_of_spans_are_read_as_those_of_the_data(tmp_path: Path, start: str, end: str) -> None:
    stamps = [f"01.03.2025 01:00:{second:02}" for second in range(6)]
    write_csv(tmp_path / "a.csv", HEADER, [(stamp, 1, i) for i, stamp in enumerate(stamps)], ";")
    time = {"column": "time", "format": "%d.%m.%Y %H:%M:%S", "zone": "Europe/Berlin"}
    found = labels(tmp_path, spans(tmp_path, (start, end, "leak")), REST, data={"time": time})
    assert found == ["normal", "leak", "leak", "normal", "normal", "normal"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([(3, 1, "leak")], ["stops.txt line 2", "'to'", "'1'"]),
        (
            [(1, 3, "leak"), (2, 4, "stop")],
            ["stops.txt line 3", "'leak'", "line 2", "a.csv line 4"],
        ),
        ([(100, 200, "leak")], ["stops.txt", "1970-01-01T00:00:00Z", "1970-01-01T00:00:05Z"]),
        ([("noon", 3, "leak")], ["stops.txt line 2", "'from'", "'noon'"]),
        ([(1, 3, "")], ["stops.txt line 2", "'label'"]),
        ([], ["stops.txt", "empty"]),
    ],
    ids=["ends first", "two labels", "another time", "no time", "no label", "empty"],
)
def test_mistake_in_a_table_of_spans_is_told_with_its_place(
    tmp_path: Path, lines: list[Row], said: list[str]
) -> None:
    write(tmp_path)
    assert names(refusal(tmp_path, spans(tmp_path, *lines), REST), *said)


def test_asset_of_a_span_that_is_not_there_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    rule = spans(tmp_path, (1, 3, "leak", "pump9"), asset=True)
    said = refusal(tmp_path, rule, REST, data={"asset_from": "file"})
    assert names(said, "stops.txt line 2", "'pump9'", "it has a")


def test_largest_of_several_columns_names_the_class(tmp_path: Path) -> None:
    write(tmp_path, 4, ok=[1, 0, 0, 0], leak=[0, 1, 0, 0.4], stop=[0, 0, 0, 0.6])
    target = {"task": "classification", "column": "label"}
    made = recipe(
        tmp_path,
        labels=[{"largest_of": ["ok", "leak", "stop"]}],
        data={"time": SECONDS},
        target=target,
    )
    recording, known = training_rows(made)
    assert recording.texts["label"].tolist() == ["ok", "leak", "", "stop"]
    assert known.classes == ("leak", "ok", "stop")
    assert names(recording.notes, "labels[0].largest_of", "1 rows", "a.csv line 4")


def test_several_columns_as_one_target_are_told_the_rule(tmp_path: Path) -> None:
    target = {"task": "classification", "column": ["ok", "leak"]}
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path, target=target)
    assert names(caught.value, "target.column", "[[labels]]", "largest_of = ['ok', 'leak']")


@pytest.mark.parametrize(
    ("rule", "sections", "said"),
    [
        ({"files": "a*"}, {}, ["labels[0]", "largest_of"]),
        ({"label": "a", "spans": "s.csv"}, {}, ["label and spans"]),
        ({"largest_of": ["ok"]}, {}, ["two columns", "ok"]),
        ({"label": "a", "until_row": 0}, {}, ["labels[0].until_row", "found 0"]),
        (REST, {"target": {**TARGET, "column": "state"}}, ["'label'", "target.column"]),
        (REST, {"target": {"task": "regression", "column": "label"}}, ["regression", "labels"]),
        (
            {"spans": "s.csv"},
            {"data": {"time": None}, "window": {"length": 1}, "split": {"method": "random"}},
            ["labels.spans", "data.time"],
        ),
    ],
    ids=["no way", "two ways", "one column", "no row", "column", "number", "no time"],
)
def test_mistake_in_a_rule_is_told_before_a_row_is_read(
    tmp_path: Path, rule: Rule, sections: dict[str, object], said: list[str]
) -> None:
    assert names(refusal(tmp_path, rule, **sections), *said)


def test_counts_of_labels_and_digests_of_tables_are_said(tmp_path: Path) -> None:
    write(tmp_path)
    made = recipe(
        tmp_path,
        labels=[spans(tmp_path, (1, 3, "leak")), REST],
        data={"time": SECONDS},
        target=TARGET,
    )
    recording, _ = training_rows(made)
    assert names(recording.notes, "'normal' 4", "'leak' 2")
    assert "labels.spans/stops.txt" in recording.digests


def test_search_begins_anew_with_other_rules_and_goes_on_from_another_folder(
    tmp_path: Path,
) -> None:
    def journal(folder: Path, *rules: Rule) -> str:
        made = recipe(folder, labels=[*rules, REST], target=TARGET, data={"files": ["*.csv"]})
        return path_of(tmp_path, made, {"a.csv": "0" * 64}).name

    first = journal(tmp_path / "here", {"until_row": 3, "label": "leak"}, {"spans": "s.csv"})
    again = journal(tmp_path / "there", {"until_row": 3, "label": "leak"}, {"spans": "s.csv"})
    other = journal(tmp_path / "here", {"until_row": 4, "label": "leak"}, {"spans": "s.csv"})
    assert first == again
    assert first != other
