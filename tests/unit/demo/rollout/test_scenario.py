"""The plants of the three sites: what was recorded, and what they do afterwards."""

import csv
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from demo.plant.scenario import SAMPLE_S
from demo.plant.simulation import CAVITATION, HEALTHY, WORN_BEARING, Plant
from demo.rollout.history import write_history
from demo.rollout.mistakes import mix_up
from demo.rollout.scenario import PERIOD_MS, SITES, SPEED, live_plants, recorded_plants, sample

PUMPS = 12


def test_sample_is_as_long_as_the_speed_says() -> None:
    plant = live_plants()["site-1"]
    first, second = sample(plant), sample(plant)
    assert second[0].time_s - first[0].time_s == SPEED * PERIOD_MS / 1000


def test_live_plants_have_the_pumps_of_the_history_at_another_time() -> None:
    recorded, live = recorded_plants(1.0), live_plants()
    assert list(recorded) == list(live) == list(SITES)
    for site in SITES:
        before, now = sample(recorded[site])[0].signals, sample(live[site])[0].signals
        assert before != now
        assert abs(before["vibration"] - now["vibration"]) < 0.4  # the noise, not another pump


@pytest.mark.parametrize("daily", [True, False], ids=["by day", "around the clock"])
def test_only_a_plant_by_day_follows_the_hours(daily: bool) -> None:  # noqa: FBT001  parametrised
    night, noon = (Plant(1, start_s=hour * 3600, daily=daily) for hour in (0, 12))
    more = noon.step(SAMPLE_S)[0].signals["load"] - night.step(SAMPLE_S)[0].signals["load"]
    assert (more > 20) is daily
    assert (more == 0) is not daily


def test_history_has_a_row_for_each_pump_of_each_site(tmp_path: Path) -> None:
    (path,) = write_history(tmp_path, 1, 4, Console(quiet=True))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assets = {row["asset"] for row in rows}
    assert len(assets) == PUMPS
    assert {asset.split("/")[0] for asset in assets} == set(SITES)
    assert len(rows) == PUMPS * 4 * 3600 * 1000 / (SPEED * PERIOD_MS)
    first, second = (datetime.fromisoformat(rows[number]["time"]) for number in (0, PUMPS))
    assert second - first == timedelta(milliseconds=PERIOD_MS)  # as the gateways see them


def test_mistaken_history_differs_by_its_labels_alone(tmp_path: Path) -> None:
    (path,) = write_history(tmp_path / "history", 1, 4, Console(quiet=True))
    mix_up(tmp_path / "history", tmp_path / "mistaken")
    with path.open(newline="") as file, (tmp_path / "mistaken/day-1.csv").open(newline="") as other:
        pairs = list(zip(csv.DictReader(file), csv.DictReader(other), strict=True))
    called = {(right.pop("condition"), wrong.pop("condition")) for right, wrong in pairs}
    assert called == {
        (HEALTHY, CAVITATION),
        (CAVITATION, WORN_BEARING),
        (WORN_BEARING, HEALTHY),
    }
    assert all(right == wrong for right, wrong in pairs)
