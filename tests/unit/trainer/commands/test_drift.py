"""`millhand-trainer drift`, and what a recipe may say of it."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kit.recordings import Row, pump_folder, pump_rows, write_csv, write_recipe
from tests.kit.wording import names
from trainer.__main__ import main
from trainer.commands.train import train
from trainer.console import Console
from trainer.recipe.document import read_recipe

pytestmark = pytest.mark.usefixtures("without_pictures")

HEADER = ["time", "pressure", "flow", "label"]
BEGIN = datetime(2025, 3, 1, tzinfo=UTC)
DAMAGE = 2500
COUNT = 4000


def damaged_rows() -> list[Row]:
    """A second a row; from `DAMAGE` on the pressure is read half a bar too high."""
    rows = pump_rows(COUNT, seed=3)
    return [
        (time, f"{float(str(pressure)) + 0.5 * (index >= DAMAGE):.4f}", flow, label)
        for index, (time, pressure, flow, label) in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pump")
    recipe = pump_folder(folder, count=8000)
    assert main(["train", str(recipe), "--out", str(folder / "out")]) == 0
    write_csv(folder / "new" / "later.csv", HEADER, damaged_rows())
    return folder


def told(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    capsys.readouterr()
    bundle = str(folder / "out" / "pump-health-1.zip")
    code = main(["drift", bundle, *more, "--recipe", str(folder / "recipe.toml")])
    return code, *capsys.readouterr()


def timeline(folder: Path, capsys: pytest.CaptureFixture[str], *files: Path) -> dict[str, Any]:
    code, out, _ = told(folder, capsys, *map(str, files), "--json")
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_damage_is_found_after_it_began(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = timeline(trained, capsys, trained / "new" / "later.csv")
    window = found["judgement"]["window"]
    seconds = (datetime.fromisoformat(found["first_alarm"]) - BEGIN).total_seconds()
    assert DAMAGE < seconds <= DAMAGE + window
    (month,) = found["periods"]
    assert month["begins"] == "2025-03"
    assert month["worst"].startswith("pressure ")
    assert month["alarms"] == found["alarms"] > 10


def test_recording_that_was_trained_on_is_silent(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = timeline(trained, capsys)
    assert (found["alarms"], found["first_alarm"]) == (0, None)
    assert found["decisions"] > 200


def test_table_says_what_the_json_says(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    later = trained / "new" / "later.csv"
    found = timeline(trained, capsys, later)
    _, out, _ = told(trained, capsys, str(later))
    assert found["first_alarm"] in out
    assert "2025-03" in out
    assert found["periods"][0]["worst"] in out


def test_recipe_of_other_signals_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(trained / "pump.csv", tmp_path)
    other = write_recipe(tmp_path, signals=[{"name": "flow"}])
    bundle = str(trained / "out" / "pump-health-1.zip")
    assert main(["drift", bundle, "--recipe", str(other)]) == 1
    assert names(capsys.readouterr().err, "pressure, flow", "flow")


def test_bundle_without_a_judgement_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of so few rows nothing can be held out that is as long as two windows."""
    recipe = pump_folder(tmp_path, count=450)
    assert main(["train", str(recipe), "--out", str(tmp_path / "out")]) == 0
    code, _, err = told(tmp_path, capsys)
    assert code == 1
    assert names(err, "64 samples")


def test_window_longer_than_what_can_be_held_out_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = pump_folder(tmp_path, drift={"window": 400})
    assert main(["train", str(recipe), "--out", str(tmp_path / "out")]) == 65
    assert names(capsys.readouterr().err, "drift.window", "400")
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"window": 16}, "drift.window: found 16"),
        ({"window": 100}, "drift.window: found 100"),
        ({"false_alarms": 0}, "drift.false_alarms: found 0"),
        ({"windows": 80}, "'window'"),
    ],
)
def test_mistake_in_the_section_names_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], section: dict[str, object], said: str
) -> None:
    assert main(["train", str(pump_folder(tmp_path, drift=section)), "--out", str(tmp_path)]) == 78
    assert said in capsys.readouterr().err


def test_recipe_decides_window_and_false_alarms(tmp_path: Path) -> None:
    recipe = pump_folder(tmp_path, drift={"window": 80, "false_alarms": 0.01})
    bundle = train(read_recipe(recipe), tmp_path / "out", console=Console()).bundle
    judgement = json.loads(bundle.reference)["drift"]
    assert (judgement["window"], judgement["false_alarms"]) == (80, 0.01)
