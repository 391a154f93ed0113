"""The gas turbine of 2014 is not that of 2011 to 2013, and the product says so by itself."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trainer.__main__ import main

RECIPES = Path(__file__).parent / "recipes"
ROWS_TO_2013 = 22_191
BEGIN = datetime(2011, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("data")


@pytest.mark.parametrize("name", ["gas_turbine", "gas_turbine_line"])
def test_turbine_is_silent_to_2013_and_flagged_from_2014(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = RECIPES / f"{name}.toml"
    assert main(["train", str(recipe), "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    (bundle,) = tmp_path.glob("*.zip")
    assert main(["drift", str(bundle), "--recipe", str(recipe), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # The files have no time; their rows are taken as hours without a pause.
    first = datetime.fromisoformat(found["first_alarm"]) - BEGIN
    days = (first - timedelta(hours=ROWS_TO_2013)) / timedelta(days=1)
    assert 0 < days < 10
    later = found["decisions"] - ROWS_TO_2013 // (found["judgement"]["window"] // 8)
    assert found["alarms"] > 0.9 * later
