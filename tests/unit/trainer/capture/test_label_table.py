"""Labels become a table of spans without overlaps, which outlives a restart."""

import json
from pathlib import Path

import pytest

from models.input.label_topic import LabelTopic
from models.input.pipeline import Pipeline
from trainer.broker import Message
from trainer.capture import label_table
from trainer.capture.label_table import LabelTable
from trainer.errors import UsageError

TOPIC = LabelTopic(
    Pipeline.model_validate(
        {"stream": "wear", "inputs": [{"topic": "plant/{asset}/row"}], "labels": {}}
    )
)


def take(table: LabelTable, begin: int, end: int, value: object, asset: str = "p1") -> str:
    """What becomes of a label."""
    before = table.outcomes.copy()
    assert table.take(message(begin, end, value, asset))
    (outcome,) = table.outcomes - before
    return str(outcome)


def message(begin: int, end: int, value: object, asset: str) -> Message:
    payload = json.dumps({"from": begin, "to": end, "value": value}).encode()
    return Message(f"plant/{asset}/_label/wear", payload, retained=False, at_ns=0)


def spans(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:]


def test_no_two_spans_of_an_asset_overlap(tmp_path: Path) -> None:
    table = LabelTable(tmp_path / "labels.csv", TOPIC)
    given = [(20, 30), (0, 10), (10, 20), (5, 6), (9, 11), (0, 10), (25, 40), (30, 40), (-5, 50)]
    outcomes = [take(table, *span, "worn") for span in given]
    taken = [given[at] for at, outcome in enumerate(outcomes) if outcome == "taken"]
    assert taken == [(20, 30), (0, 10), (10, 20), (30, 40)]
    assert (outcomes[5], outcomes.count("overlapping")) == ("repeated", 4)
    assert take(table, 5, 6, "worn", "p2") == "taken"
    assert take(table, 0, 10, 7) == "overlapping"


def test_only_assets_with_rows_are_written_and_the_table_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    table = LabelTable(path, TOPIC)
    take(table, 0, 1, 3)
    take(table, 0, 1, 'a, "b"', "p2")
    table.write({"p2", "p3"})
    assert spans(path) == ['p2,1970-01-01T00:00:00.000Z,1970-01-01T00:00:00.001Z,"a, ""b"""']
    again = LabelTable(path, TOPIC)
    assert take(again, 0, 1, 'a, "b"', "p2") == "repeated"
    take(again, 0, 1, 3)
    again.write({"p1"})
    assert spans(path) == ["p1,1970-01-01T00:00:00.000Z,1970-01-01T00:00:00.001Z,3"]


def test_a_table_has_a_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_table, "MAX_LABELS", 2)
    table = LabelTable(tmp_path / "labels.csv", TOPIC)
    assert [take(table, number, number + 1, 1, f"p{number}") for number in (5, 6)] == ["taken"] * 2
    assert take(table, 0, 1, 1) == "too_many"
    table.take(message(7, 8, 1, "p6"))
    table.write({"p5", "p6"})
    assert (len(table), table.outcomes["removed"]) == (2, 1)
    assert [line.split(",")[0] for line in spans(tmp_path / "labels.csv")] == ["p6", "p6"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("time,flow\n1,2\n", "no table of asset, from, to, label"),
        ("asset,from,to,label\np1,later,1,a\n", "line 2: no label"),
        ("\udcff", "cannot be read"),
    ],
    ids=["another table", "no time", "not text"],
)
def test_a_file_that_is_no_table_of_labels_is_left_alone(
    content: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content, errors="surrogateescape")
    with pytest.raises(UsageError, match=told):
        LabelTable(path, TOPIC)
    assert path.read_text(errors="surrogateescape") == content
