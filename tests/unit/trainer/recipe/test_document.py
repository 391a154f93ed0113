import json
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import tomli_w

from models.states import state_text
from tests.kit.recordings import document, recipe, write_recipe
from tests.kit.wording import names, naming
from trainer.commands.schema import recipe_schema
from trainer.errors import RecipeError
from trainer.recipe.document import Classification, read_recipe
from trainer.recipe.time_section import TimeAxis

ROOT = Path(__file__).parents[4]


def refusal(folder: Path, **sections: object) -> str:
    with pytest.raises(RecipeError) as caught:
        read_recipe(write_recipe(folder, **sections))
    return str(caught.value)


def test_shipped_recipe_is_valid() -> None:
    assert len(read_recipe(ROOT / "config" / "recipe.toml").signals) == 4


def test_schema_file_is_up_to_date() -> None:
    assert (ROOT / "config" / "recipe.schema.json").read_bytes() == recipe_schema()


def test_all_mistakes_are_told_at_once_with_file_and_key(tmp_path: Path) -> None:
    told = refusal(
        tmp_path,
        bundle={"stream": "two words"},
        window={"length": "long"},
        split={"method": "time", "tests": 0.2},
    ).splitlines()
    assert len(told) == 3
    assert all(line.startswith(f"{tmp_path}/recipe.toml: ") for line in told)
    assert "bundle.stream: found 'two words'" in told[0]
    assert "window.length: found 'long'" in told[1]
    assert names(told[2], "split.tests", "'test'")


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"windows": {}}, "windows: "),
        ({"data": {"tyme": 1}}, "data.tyme: "),
        ({"data": {"time": {"column": "t", "units": "s"}}}, "data.time.units: "),
        ({"data": {"time": {}}}, "data.time: "),
        (
            {"data": {"time": {"unit": "s", "format": "%Y-%m-%d", "column": "t"}}},
            "data.time",
        ),
        ({"data": {"time": {"column": "t", "zone": "Mars/Olympus"}}}, "Mars/Olympus"),
        ({"data": {"encoding": "utf-9"}}, "utf-9"),
        ({"data": {"decimal": ",", "thousands": ","}}, "','"),
        ({"data": {"files": []}}, "data.files"),
        ({"signals": []}, "signals"),
        ({"signals": [{"name": "a", "range": [3, 1]}]}, "(3.0, 1.0)"),
        ({"signals": [{"name": "a"}, {"name": "a"}]}, "'a'"),
        ({"signals": [{"name": "a"}, {"name": "a.b"}]}, "'a.b'"),
        ({"signals": [{"nam": "a"}]}, "signals[0].nam: "),
        ({"signals": [{"name": "label"}]}, "'label'"),
        ({"features": {"signals": ["flow", "z"]}}, "'z'"),
        ({"features": {"lags": [1]}}, "'lags'"),
        ({"features": {"kinds": ["lags"], "lags": [1, 2, 1]}}, "lags names 1"),
        ({"features": {"kinds": ["lags"], "lags": [3, 4]}}, "features.lags: 4 is beyond the 4"),
        (
            {
                "features": {"kinds": ["lags"], "lags": [3]},
                "target": {"task": "anomaly", "smooth": 2},
            },
            "features.lags: 3 is beyond the 3",
        ),
        ({"features": {"kernels": 500}}, "'kernels'"),
        ({"features": {"kinds": ["kernels"], "kernels": 83}}, "features.kernels: found 83"),
        ({"features": {"kinds": ["kernels"]}}, "features see 4 samples"),
        (
            {"features": {"kinds": ["kernels"], "kernels": 84}, "window": {"length": 64}},
            "make 168 features",
        ),
        (
            {"features": {"kinds": ["kernels"]}, "window": {"length": 8_193}},
            "allowed are 16384",
        ),
        (
            {
                "features": {"kinds": ["kernels"]},
                "window": {"length": 64},
                "target": {"task": "anomaly"},
            },
            "detector",
        ),
        ({"optimise": {"int8": True}}, "'mlp'"),
        (
            {"optimise": {"int8": True}, "search": {"trials": 1, "candidates": ["linear"]}},
            "optimise.int8",
        ),
        ({"optimise": {"int8": True}, "target": {"task": "anomaly"}}, "detector"),
        ({"optimise": {"worse": -1}}, "optimise.worse: found -1"),
        ({"optimise": {"tolerance": 0.6}}, "optimise.tolerance: found 0.6"),
        ({"target": {"task": "magic"}}, "'classification', 'regression', 'anomaly'"),
        (
            {"target": {"column": "y"}},
            "target.task: ",
        ),
        (
            {"target": {"task": "regresion"}},
            "target.task: found 'regresion'",
        ),
        (
            {"data": {"time": "t"}},
            "data.time: found 't'",
        ),
        ({"data": {"files": "a.csv"}}, "data.files: found 'a.csv'"),
        (
            {"data": {"time": {"column": 3}}},
            "data.time.column: found 3",
        ),
        (
            {"data": {"time": {"column": "t", "origin": date(1899, 12, 30)}}},
            "data.time.origin: found ",
        ),
        (
            {"data": {"time": {"unit": "d", "origin": datetime(9999, 1, 1, tzinfo=UTC)}}},
            "1678 to 2261",
        ),
        ({"data": {"time": {"column": "t", "format": "%H:%M"}}}, "'%H:%M'"),
        (
            {"data": {"time": {"column": "t", "format": "%Y-%m-%d %"}}},
            "data.time.format: found '%Y-%m-%d %'",
        ),
        ({"data": {"time": {"column": "t", "format": "%Y-%m-%d %Q"}}}, "'Q'"),
        (
            {"data": {"time": {"column": "t", "format": "%d.%d.%Y"}}},
            "data.time.format: found '%d.%d.%Y'",
        ),
        ({"data": {"time": {"column": ["d", "t"], "unit": "s"}}}, "unit"),
        ({"data": {"time": {"unit": "15min"}}}, "every = 15 with unit = 'min'"),
        ({"data": {"time": {"unit": "min", "every": 0}}}, "data.time.every: found 0"),
        ({"data": {"time": {"column": "t", "every": 15}}}, "every"),
        ({"data": {"time": {"column": "t", "day_first": "often"}}}, "data.time.day_first: found"),
        ({"data": {"time": {"column": "t", "unit": "s", "day_first": True}}}, "day_first"),
        (
            {"data": {"time": {"unit": "s", "step_s": 1}}},
            "step_s",
        ),
        ({"data": {"time": {"unit": "h", "counter": True}}}, "counter"),
        ({"data": {"time": {"column": "t", "counter": True}}}, "counter"),
        (
            {"signals": [{"name": "Druck [bar]"}]},
            "'Druck_bar'",
        ),
        ({"signals": [{"name": "a", "missing": "imput"}]}, "'impute'"),
        (
            {"search": {"trials": 3, "candidates": "foo"}},
            "'foo'",
        ),
        (
            {"search": {"trials": 3, "candidates": ["foo"]}},
            "search.candidates[0]: found 'foo'; allowed",
        ),
        ({"search": {"trials": 2.5}}, "search.trials: found 2.5"),
        ({"target": {"task": "regression"}}, "column"),
        ({"target": {"task": "regression", "column": "y", "cap": 3}}, "cap"),
        (
            {"target": {"task": "classification", "column": "y", "classes": ["a"]}},
            "target: ",
        ),
        (
            {
                "target": {
                    "task": "classification",
                    "column": "y",
                    "classes": [0, 1],
                    "positive": "2",
                }
            },
            "positive is '2'",
        ),
        ({"target": {"task": "anomaly", "smooth": 5}}, "5"),
        (
            {"target": {"task": "anomaly", "smooth": 40}, "window": {"length": 20_000}},
            "558908",
        ),
        ({"window": {"length": 60_000}}, "120000"),
        (
            {"window": {"period_s": 1e300}},
            "window.period_s: found 1e+300",
        ),
        ({"bundle": {"version": "1.0"}}, "bundle.version: found '1.0'"),
        ({"split": {"method": "time"}}, "train_rows"),
        (
            {
                "target": {
                    "task": "classification",
                    "column": "y",
                    "classes": ["0", "1"],
                    "ignore": [0],
                }
            },
            "'0' is in classes and in ignore",
        ),
        ({"split": {"method": "group"}}, "needs data.asset_column, asset_from or run"),
        ({"split": {"method": "predefined"}}, "test_files"),
        ({"split": {"method": "predefined", "column": "part"}}, "give both"),
        ({"split": {"method": "time", "test": 0.2, "gap_s": -1}}, "split.gap_s"),
        ({"checks": {"allow": ["target-leek"]}}, "'target-leak'"),
        ({"split": {"method": "stratified"}}, "'random-optimistic'"),
        ({"split": {"method": "random"}}, "split"),
        (
            {"target": {"task": "regression", "remaining": "h"}},
            "target.remaining",
        ),
    ],
)
def test_mistake_is_told_with_what_is_allowed(
    tmp_path: Path, sections: dict[str, object], said: str
) -> None:
    assert said in refusal(tmp_path, **sections)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"window": {"length": 2}}, "window.length is 2"),
        ({}, "data.time"),
        (
            {
                "target": {"task": "regression", "column": "y"},
                "split": {"method": "stratified"},
            },
            "'random'",
        ),
        (
            {"target": {"task": "regression", "remaining": "h"}, "split": {"method": "random"}},
            "target.remaining needs data.time",
        ),
    ],
)
def test_rows_without_a_time_axis_stand_alone(
    tmp_path: Path, sections: dict[str, object], said: str
) -> None:
    alone = {"data": {"time": None}, "window": {"length": 1}}
    assert said in refusal(tmp_path, **{**alone, **sections})


def test_one_section_where_several_may_stand_is_told_how_to_write_it(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(tomli_w.dumps({**document(), "signals": {"name": "a"}}))
    with pytest.raises(RecipeError, match=naming("signals", "[[signals]]")):
        read_recipe(path)


def test_value_that_fits_no_kind_is_told_once(tmp_path: Path) -> None:
    told = refusal(tmp_path, search={"trials": 3, "candidates": ["foo", "bar"]})
    assert len(told.splitlines()) == 2  # one an item, and none about the word that may stand there


def test_file_patterns_are_relative_to_the_recipe(tmp_path: Path) -> None:
    assert recipe(tmp_path).data.files == (f"{tmp_path}/*.csv",)


def test_variable_in_a_pattern_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANT_DATA", "/srv/plant")
    read = recipe(tmp_path, data={"files": ["${PLANT_DATA}/a.csv"]})
    assert read.data.files == ("/srv/plant/a.csv",)


def test_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLANT_DATA", raising=False)
    told = refusal(tmp_path, data={"files": ["${PLANT_DATA}/a.csv"]})
    assert "data.files[0]" in told
    assert "PLANT_DATA" in told


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[bundle", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"#" * 300_000, "bytes"),
    ],
    ids=["cut off", "no text", "too long"],
)
def test_file_that_is_no_recipe_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=said):
        read_recipe(path)


def test_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=naming("none.toml")):
        read_recipe(tmp_path / "none.toml")


def test_recipe_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_recipe(path).bundle.stream == "pump-health"


def test_label_has_one_spelling() -> None:
    assert {state_text(spelling) for spelling in (1, 1.0, "1", "1.0", " 1 ")} == {"1"}


def test_label_that_is_no_whole_number_stays() -> None:
    assert [state_text(x) for x in ("ok ", 1.5, True, "007")] == ["ok", "1.5", "True", "007"]


def test_classes_may_have_names(tmp_path: Path) -> None:
    classes = {"0": "healthy", "1": "failure"}
    target = {"task": "classification", "column": "y", "classes": classes, "positive": "failure"}
    read = recipe(tmp_path, target=target).target
    assert isinstance(read, Classification)
    assert read.names == classes


def test_several_labels_may_be_one_class(tmp_path: Path) -> None:
    target = {
        "task": "classification",
        "column": "y",
        "classes": {"3": "low", "4": "low", "5": "high"},
        "positive": "high",
    }
    made = recipe(tmp_path, target=target).target
    assert isinstance(made, Classification)
    assert list(made.names.values()) == ["low", "low", "high"]


def test_channel_has_what_the_signal_says(tmp_path: Path) -> None:
    signal = {
        "name": "flow",
        "column": "Flow [m3/h]",
        "unit": "m3/h",
        "range": [0, 400],
        "missing": "require",
        "max_age_s": 1.5,
    }
    (channel,) = recipe(tmp_path, signals=[signal]).channels
    assert (channel.name, channel.unit, channel.valid_range) == ("flow", "m3/h", (0, 400))
    assert (channel.missing, channel.max_age_ms) == ("require", 1500)


def test_guide_explains_every_key() -> None:
    guide = (ROOT / "docs" / "recipe.md").read_text()
    schema = json.loads(recipe_schema())
    keys = {key for part in (schema, *schema["$defs"].values()) for key in part["properties"]}
    headings = {"bundle", "data", "signals", "derived", "window", "features", "target", "split"}
    headings |= {"checks", "conditions", "labels", "search", "optimise", "budget", "drift"}
    assert {key for key in keys - headings if f"`{key}`" not in guide} == set()
    assert all(f"[{heading}]" in guide for heading in headings)


def test_every_time_axis_in_the_guide_is_valid() -> None:
    guide = (ROOT / "docs" / "recipe.md").read_text()
    (block,) = (one for one in guide.split("```toml\n") if one.startswith("time = "))
    examples = [line for line in block.splitlines() if line.startswith("time = ")]
    assert len(examples) == 11
    for example in examples:
        TimeAxis.model_validate(tomllib.loads(example)["time"])


@pytest.mark.parametrize(
    "name", ["ai4i", "cmapss", "gas_turbine", "gas_turbine_line", "nab", "skab"]
)
def test_recipe_of_a_public_set_is_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLHAND_DATA", "/srv/data")
    assert read_recipe(ROOT / "tests" / "realdata" / "recipes" / f"{name}.toml").bundle.name
