"""The names of files as columns: asset, label or signal."""

from pathlib import Path

import pytest

from tests.kit.recordings import recipe, write_csv
from tests.kit.wording import names, naming
from trainer.errors import DataError, RecipeError
from trainer.ingest.recorded_files import load

HEADER = ["time", "pressure", "flow"]
TEMPLATE = "{line}/{machine}_{condition}.csv"


def write(folder: Path, name: str, pressure: float = 4.0) -> None:
    write_csv(folder / name, HEADER, [("2025-03-01T00:00:00Z", pressure, 30.0)])


def refusal(folder: Path, template: str) -> str:
    description = recipe(folder, data={"files": ["**/*.csv"], "file_template": template})
    with pytest.raises(DataError) as caught:
        load(description.data, description.signals)
    return str(caught.value)


def test_name_gives_asset_label_and_signal(tmp_path: Path) -> None:
    write(tmp_path, "1/p1_ok.csv", 4.0)
    write(tmp_path, "2/p2_worn.csv", 5.0)
    description = recipe(
        tmp_path,
        data={"files": ["*/*.csv"], "file_template": TEMPLATE, "asset_column": "machine"},
        signals=[
            {"name": "pressure"},
            {"name": "line"},
            {"name": "kind", "column": "machine", "codes": {"p1": 10, "p2": 20}},
        ],
    )
    recording = load(description.data, description.signals, texts=["condition"])
    assert recording.assets == ("p1", "p2")
    assert recording.texts["condition"].tolist() == ["ok", "worn"]
    assert recording.values.tolist() == [[4.0, 1.0, 10.0], [5.0, 2.0, 20.0]]


def test_file_that_is_not_named_so_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "1/p1.csv")
    told = refusal(tmp_path, TEMPLATE)
    assert names(told, "p1.csv", "data.file_template")


def test_name_that_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "1/p_1_ok.csv")
    told = refusal(tmp_path, TEMPLATE)
    assert names(told, "'p'", "'1_ok'", "'1'", "'p_1'", "'ok'")


def test_template_is_no_pattern(tmp_path: Path) -> None:
    write(tmp_path, "p+1.csv")
    description = recipe(
        tmp_path, data={"file_template": "{machine}+{run}.csv", "asset_column": "machine"}
    )
    assert load(description.data, description.signals).assets == ("p",)


def test_data_of_nothing_but_names_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "2025-03-01_4.csv")
    description = recipe(
        tmp_path, data={"file_template": "{time}_{pressure}.csv"}, signals=[{"name": "pressure"}]
    )
    with pytest.raises(DataError, match=naming("data.file_template")):
        load(description.data, description.signals)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("pump.csv", "braces"),
        ("{}.csv", "braces"),
        ("{run}_{.csv", "braces"),
        ("{run}_{run}.csv", "names 'run' twice"),
    ],
)
def test_template_without_sense_is_a_mistake_of_the_recipe(
    tmp_path: Path, template: str, said: str
) -> None:
    with pytest.raises(RecipeError, match=r"data\.file_template: found .*" + said):
        recipe(tmp_path, data={"file_template": template})


def test_key_that_is_nearly_right_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=naming("data.file_tmplate", "'file_template'")):
        recipe(tmp_path, data={"file_tmplate": "{run}.csv"})
