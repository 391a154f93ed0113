"""What is left of an asset's life: until its last row, or longer where it was alive there."""

import hashlib
from pathlib import Path

import pytest

from tests.kit.recordings import recipe, write_csv, write_recipe
from tests.kit.wording import names, naming
from trainer.checks.events import too_few_positives
from trainer.commands.train import train
from trainer.console import Console
from trainer.dataset.splits import split
from trainer.dataset.subject import Subject
from trainer.dataset.targets import truth
from trainer.errors import DataError, RecipeError
from trainer.ingest.recorded_files import load
from trainer.recipe.document import Recipe, read_recipe

pytestmark = pytest.mark.usefixtures("without_pictures")

HEADER = ["pump", "time", "pressure", "flow"]
BY_COLUMN = {"asset_column": "pump", "time": {"column": "time", "unit": "s"}}
BY_FILE = {**BY_COLUMN, "asset_from": "file"}
BY_GROUP = {"method": "group"}


def fleet(folder: Path, name: str = "fleet.csv", **lengths: int) -> None:
    """Write a file of pumps with so many rows each, a second apart, interleaved."""
    rows = [
        (pump, second, second / 10, number)
        for second in range(max(lengths.values()))
        for number, (pump, length) in enumerate(lengths.items())
        if second < length
    ]
    write_csv(folder / name, HEADER, rows)


def counted(folder: Path, left: object, **target: object) -> Recipe:
    """A recipe that counts down to the end, and tables that say what is left."""
    wanted = {"task": "regression", "remaining": "s", "left": left, **target}
    return recipe(folder, data=BY_COLUMN, target=wanted, split=BY_GROUP)


def truths(wanted: Recipe) -> dict[str, list[float | None]]:
    """The truth of each asset's rows, None where it is not known."""
    recording = load(wanted.data, wanted.signals)
    known = truth(recording, wanted)
    rows = zip(recording.asset.tolist(), known.y.tolist(), known.known.tolist(), strict=True)
    found: dict[str, list[float | None]] = {}
    for asset, y, is_known in rows:
        found.setdefault(recording.assets[asset], []).append(y if is_known else None)
    return found


def refusal(folder: Path, left: object, text: str) -> str:
    """What is said of a table `left.txt` of a fleet of two pumps."""
    fleet(folder, p1=4, p2=3)
    (folder / "left.txt").write_text(text)
    with pytest.raises(DataError) as caught:
        truths(counted(folder, left))
    return str(caught.value)


def test_table_by_name_adds_what_was_left_at_the_last_row(tmp_path: Path) -> None:
    fleet(tmp_path, p1=3, p2=2)
    (tmp_path / "left.txt").write_text("asset;left\np2;10,5\n")
    assert truths(counted(tmp_path, "left.txt")) == {"p1": [2, 1, 0], "p2": [11.5, 10.5]}


def test_asset_whose_end_nobody_knows_has_no_truth(tmp_path: Path) -> None:
    fleet(tmp_path, p1=3, p2=2)
    (tmp_path / "left.txt").write_text("asset,left\np2,\n")
    assert truths(counted(tmp_path, "left.txt")) == {"p1": [2, 1, 0], "p2": [None, None]}


def test_asset_that_outlived_the_cap_has_the_cap_for_truth(tmp_path: Path) -> None:
    fleet(tmp_path, p1=5, p2=2)
    (tmp_path / "left.txt").write_text("asset,left\np1,NA\n")
    found = truths(counted(tmp_path, "left.txt", cap=3))
    assert found == {"p1": [3, 3, None, None, None], "p2": [1, 0]}


def test_cap_holds_for_what_was_left_too(tmp_path: Path) -> None:
    fleet(tmp_path, p1=3)
    (tmp_path / "left.txt").write_text("asset,left\np1,2\n")
    assert truths(counted(tmp_path, "left.txt", cap=3)) == {"p1": [3, 3, 2]}


def test_run_before_1970_is_counted_down_too(tmp_path: Path) -> None:
    write_csv(tmp_path / "fleet.csv", HEADER, [("p1", -9, 0, 0), ("p1", -7, 0, 0)])
    target = {"task": "regression", "remaining": "s"}
    assert truths(recipe(tmp_path, data=BY_COLUMN, target=target, split=BY_GROUP)) == {"p1": [2, 0]}


def test_lines_are_of_the_assets_in_the_order_of_their_file(tmp_path: Path) -> None:
    write_csv(tmp_path / "fleet.csv", HEADER, [("p9", 1, 0, 0), ("p1", 0, 0, 0)])
    (tmp_path / "left.txt").write_text("7 \n5 \n")
    assert truths(counted(tmp_path, {"fleet.csv": "left.txt"})) == {"p9": [7], "p1": [5]}


def test_files_that_number_their_assets_anew_are_told_apart(tmp_path: Path) -> None:
    fleet(tmp_path, "train.csv", e1=2, e2=1)
    fleet(tmp_path, "test.csv", e1=1, e2=2)
    (tmp_path / "left.txt").write_text("40\n30\n")
    target = {"task": "regression", "remaining": "s", "left": {"test.csv": "left.txt"}}
    wanted = recipe(tmp_path, data=BY_FILE, target=target, split=BY_GROUP)
    assert truths(wanted) == {
        "train-e1": [1, 0],
        "train-e2": [0],
        "test-e1": [40],
        "test-e2": [31, 30],
    }


def test_asset_of_two_files_is_refused(tmp_path: Path) -> None:
    fleet(tmp_path, "train.csv", p1=4)
    told = refusal(tmp_path, {"fleet.csv": "left.txt"}, "1\n2\n")
    assert names(told, "'p1'", "fleet.csv")
    assert "set data.asset_from = 'file'" in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("asset,left\np1,1\np3,2\n", "left.txt line 3, column 'asset': found 'p3'"),
        ("asset,left\np1,1\np1,2\n", "left.txt line 3, column 'asset': found 'p1'"),
        ("asset,left\np1,-1\n", "left.txt line 2, column 'left': found '-1'"),
        ("asset,left\np1,soon\n", "left.txt line 2, column 'left': found 'soon'"),
        ("asset,left\n,4\n", "left.txt line 2, column 'asset': found ''"),
        ("pump,rest\np1,1\n", "left.txt line 1: "),
        ('asset,left\np1,"1,234"\n', "thousands"),
        ("asset,left\n", "left.txt: empty"),
        ("", "left.txt: empty"),
    ],
)
def test_mistake_in_a_table_by_name_is_told_with_its_place(
    tmp_path: Path, text: str, said: str
) -> None:
    assert said in refusal(tmp_path, "left.txt", text)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("fleet.csv", "1\n", "left.txt: has 1 "),
        ("fleet.csv", "1\n2\n3\n", "left.txt: has 3 "),
        ("fleet.csv", "1\nleft\n2\n", "left.txt line 2, column 'left': found 'left'"),
        ("fleet.csv", "1\n-2\n", "left.txt line 2, column 'left': found '-2'"),
        ("flaet.csv", "1\n2\n", "'flaet.csv'"),
    ],
)
def test_mistake_in_a_table_by_order_is_told_with_its_place(
    tmp_path: Path, file: str, text: str, said: str
) -> None:
    assert said in refusal(tmp_path, {file: "left.txt"}, text)


def test_table_that_is_not_there_is_told_with_its_key(tmp_path: Path) -> None:
    told = refusal(tmp_path, "right.txt", "asset,left\n")
    assert names(told, f"target.left: {tmp_path}/right.txt")


def test_name_of_a_data_file_must_fit_one(tmp_path: Path) -> None:
    fleet(tmp_path, "a/fleet.csv", p1=2)
    fleet(tmp_path, "b/fleet.csv", p2=3)
    (tmp_path / "left.txt").write_text("1\n")
    target = {"task": "regression", "remaining": "s"}
    data = {**BY_COLUMN, "files": ["*/*.csv"]}

    def wanted(file: str) -> Recipe:
        left = {"left": {file: "left.txt"}}
        return recipe(tmp_path, data=data, target={**target, **left}, split=BY_GROUP)

    with pytest.raises(DataError, match=naming("'fleet.csv'", "a/fleet.csv, b/fleet.csv")):
        truths(wanted("fleet.csv"))
    assert truths(wanted("b/fleet.csv")) == {"p1": [1, 0], "p2": [3, 2, 1]}


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"target": {"task": "regression", "column": "y", "left": "l"}}, "left needs remaining"),
        (
            {"target": {"task": "regression", "remaining": "s", "left": ["l"]}},
            "target.left: ",
        ),
        (
            {"target": {"task": "regression", "remaining": "s", "left": "${NO_SUCH}/l"}},
            "NO_SUCH",
        ),
        (
            {
                "data": {"asset_column": None},
                "target": {"task": "regression", "remaining": "s", "left": "l"},
            },
            "data.asset_column, asset_from or run",
        ),
    ],
)
def test_mistake_in_the_recipe_is_told(
    tmp_path: Path, sections: dict[str, dict[str, object]], said: str
) -> None:
    data = {**BY_COLUMN, **sections.get("data", {})}
    path = write_recipe(tmp_path, data=data, target=sections["target"], split=BY_GROUP)
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    assert said in str(caught.value)


def test_asset_that_still_runs_is_no_whole_run(tmp_path: Path) -> None:
    fleet(tmp_path, p1=20, p2=20, p3=20, p4=20)
    (tmp_path / "left.txt").write_text("asset,left\np1,\np2,\np3,\n")
    wanted = counted(tmp_path, "left.txt", cap=5)
    recording = load(wanted.data, wanted.signals)
    known = truth(recording, wanted)
    parts = split(recording, known, wanted, wanted.window.spec(1000))
    (finding,) = too_few_positives(Subject(recording, known, wanted, parts))
    whole, tested = (int(word) for word in finding.evidence.split() if word.isdigit())
    assert whole + tested == 1


def test_table_is_part_of_what_a_bundle_was_made_of(tmp_path: Path) -> None:
    fleet(tmp_path, p1=60, p2=70, p3=80, p4=90)
    text = "asset,left\np1,12\np2,\n"
    (tmp_path / "left.txt").write_text(text)
    outcome = train(counted(tmp_path, "left.txt", cap=40), tmp_path / "out", console=Console())
    data = outcome.bundle.manifest.lineage.data
    assert hashlib.sha256(text.encode()).hexdigest() in data.values()
    assert any(names(said, "left.txt", "2 of 4") for said in outcome.trained.notes)
