"""Drafts of made-up plant files: what is found in them, and that training runs them unedited."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.bundle.package import read_bundle
from tests.kit.pictures import empty_pictures
from trainer.__main__ import main

ROWS = 1200


def drafted(folder: Path, *words: str) -> dict[str, Any]:
    """The draft of files in a folder, as a document; the page beside it has no picture."""
    with empty_pictures():
        return drawn(folder, *words)


def drawn(folder: Path, *words: str) -> dict[str, Any]:
    """The draft of files in a folder, as a document, with the picture beside it."""
    output = folder / "recipe.toml"
    assert main(["draft", *words, "--output", str(output), "--force"]) == 0
    return tomllib.loads(output.read_text())


def train(folder: Path) -> None:
    """Train by the recipe in a folder; the bundle is below `out`, without pictures."""
    with empty_pictures():
        assert main(["train", str(folder / "recipe.toml"), "--out", str(folder / "out")]) == 0


def signals(recipe: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one.get("column", one["name"]): one for one in recipe["signals"]}


def german(path: Path, begin: str, level: float) -> None:
    """A file as a German machine exports it."""
    rng = np.random.default_rng(len(path.name) + round(level))
    count = np.arange(ROWS)
    temp = 60 + level + 10 * np.sin(count / 40) + rng.normal(0, 1, ROWS)
    bar = 5 + rng.normal(0, 0.5, ROWS)
    frame = pd.DataFrame(
        {
            "Zeit": pd.date_range(begin, periods=ROWS, freq="min").strftime("%d.%m.%Y %H:%M"),
            "lfd Nr": count + 1,
            "temp [°C]": temp.round(2),
            "Druck (bar)": bar.round(3),
            "Zustand": rng.choice(["Lauf", "Halt"], ROWS),
            "Zähler": 1000 + (3 * count + rng.integers(0, 3, ROWS)).cumsum(),
            "fix": 7.5,
            "Teil": [f"T{number:05d}" for number in count],
            "Güte [%]": (0.5 * temp + 3 * bar + rng.normal(0, 0.3, ROWS)).round(3),
        }
    )
    frame.to_csv(path, sep=";", decimal=",", index=False)


@pytest.fixture
def plant(tmp_path: Path) -> list[str]:
    """Two runs of two presses, whose times are the same."""
    files = []
    for level, press in enumerate(("press1", "press2")):
        for day in (1, 2):
            files.append(tmp_path / f"{press}_lauf{day}.csv")
            german(files[-1], f"2026-02-{12 + day} 13:05", 5.0 * level)
    return [str(path) for path in files]


def test_german_files_are_described_key_by_key(tmp_path: Path, plant: list[str]) -> None:
    recipe = drafted(tmp_path, *plant, "--target", "Güte")
    assert recipe["data"]["separator"] == ";"
    assert recipe["data"]["decimal"] == ","
    assert recipe["data"]["time"]["format"] == "%d.%m.%Y %H:%M"
    assert recipe["data"]["asset_column"] == "machine"
    assert recipe["data"]["file_template"] == "{machine}_{part2}.csv"
    found = signals(recipe)
    assert [*found] == ["temp [°C]", "Druck (bar)", "Zustand"]
    assert found["temp [°C]"]["name"] == "temp"
    assert found["temp [°C]"]["unit"] == "°C"
    assert found["Zustand"]["codes"] == {"Halt": 0, "Lauf": 1}
    assert recipe["target"] == {"task": "regression", "column": "Güte [%]", "unit": "%"}
    assert recipe["split"] == {"method": "time", "test": 0.25}


def test_reason_stands_beside_each_column_that_is_left_out(
    tmp_path: Path, plant: list[str]
) -> None:
    drafted(tmp_path, *plant, "--target", "Güte")
    text = (tmp_path / "recipe.toml").read_text()
    assert "'lfd Nr': it counts from row to row by 1" in text
    assert "'Zähler': it is a meter, which only rises" in text
    assert "'fix': it is constant: always 7.5" in text
    assert "'Teil': it holds 1200 different texts" in text


def test_draft_of_german_files_is_trained_unedited(tmp_path: Path, plant: list[str]) -> None:
    drafted(tmp_path, *plant, "--target", "Güte")
    train(tmp_path)
    assert len([*(tmp_path / "out").glob("*.zip")]) == 1


def test_number_far_from_all_others_lies_outside_of_the_range(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"flow": rng.normal(50, 5, ROWS), "level": rng.normal(0, 1, ROWS)})
    frame["y"] = frame["flow"] + frame["level"]
    frame.loc[10:15, "flow"] = -9999
    frame.to_csv(tmp_path / "rows.csv", index=False)
    recipe = drafted(tmp_path, str(tmp_path / "rows.csv"))
    low, high = signals(recipe)["flow"]["range"]
    assert 0 <= low < 40
    assert 60 < high < 200
    assert "-9999 in 6 rows" in (tmp_path / "recipe.toml").read_text()


def test_column_that_gives_the_class_away_is_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    bad = rng.random(ROWS) < 0.2
    frame = pd.DataFrame(
        {
            "current": rng.normal(5, 1, ROWS) + bad,
            "voltage": rng.normal(230, 2, ROWS),
            "alarm_code": np.where(bad, 7, 0),
            "state": np.where(bad, "None", "worn"),
        }
    )
    frame.to_csv(tmp_path / "rows.csv", index=False)
    recipe = drafted(tmp_path, str(tmp_path / "rows.csv"), "--target", "state")
    assert [*signals(recipe)] == ["current", "voltage"]
    assert recipe["target"]["classes"] == ["None", "worn"]
    assert recipe["target"]["positive"] == "None"
    assert recipe["split"]["method"] == "stratified"


def test_decimal_commas_without_a_header_are_no_separators(tmp_path: Path) -> None:
    days = (f"2025-03-01T{at // 60:02d}:{at % 60:02d}:00Z" for at in range(ROWS))
    rows = (f"{day};{4 + at % 7},{at % 10};3{at % 10},5\n" for at, day in enumerate(days))
    (tmp_path / "press.csv").write_text("".join(rows))
    recipe = drafted(tmp_path, str(tmp_path / "press.csv"))
    assert recipe["data"]["separator"] == ";"
    assert recipe["data"]["columns"] == ["c1", "c2", "c3"]


def test_runs_in_one_file_without_a_header_are_told_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    lines = []
    for engine, life in enumerate((60, 80, 70, 90, 75, 65), start=1):
        wear = np.arange(life) / life
        lines += [
            f"{engine} {cycle + 1} {20 + 5 * wear[cycle] + rng.normal(0, 0.3):.3f} 518.67  "
            for cycle in range(life)
        ]
    (tmp_path / "runs.txt").write_text("\n".join(lines) + "\n")
    recipe = drafted(tmp_path, str(tmp_path / "runs.txt"), "--task", "remaining-life")
    assert recipe["data"]["columns"] == ["c1", "c2", "c3", "c4"]
    assert recipe["data"]["separator"] == "blank"
    assert recipe["data"]["asset_column"] == "c1"
    assert recipe["data"]["time"]["column"] == "c2"
    assert [*signals(recipe)] == ["c2", "c3"]
    assert recipe["target"]["remaining"] == "h"
    assert recipe["split"]["method"] == "group"


def test_engines_that_were_stopped_do_not_count_for_the_cap(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    for name, life in (("failed.txt", 200), ("stopped.txt", 40)):
        lines = [
            f"{engine} {cycle + 1} {cycle / life + rng.normal(0, 0.1):.4f} {rng.normal():.2f}"
            for engine in range(1, 7)
            for cycle in range(life + engine)
        ]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    (tmp_path / "left.txt").write_text("100\n" * 6)
    files = [str(tmp_path / "failed.txt"), str(tmp_path / "stopped.txt")]
    left = ["--left", "stopped.txt", str(tmp_path / "left.txt"), "--test", "stopped.txt"]
    recipe = drafted(tmp_path, *files, "--task", "remaining-life", *left)
    assert recipe["data"]["asset_from"] == "file"
    assert recipe["target"]["cap"] == 120
    assert recipe["target"]["left"] == {"stopped.txt": "left.txt"}
    assert recipe["split"]["test_files"] == ["stopped.txt"]
    assert recipe["window"]["length"] == 30


def test_times_that_were_rounded_are_neither_time_nor_signal(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    level = np.cumsum(rng.normal(0, 1, ROWS)) + 500
    frame = pd.DataFrame({"time": "1.71452E+12", "level": level, "heat": level + 3})
    frame["y"] = level * 2 + rng.normal(0, 1, ROWS)
    frame.loc[ROWS // 2 :, "time"] = "1.71453E+12"
    frame.to_csv(tmp_path / "rounded.csv", index=False)
    recipe = drafted(tmp_path, str(tmp_path / "rounded.csv"))
    assert "column" not in recipe["data"]["time"]
    assert [*signals(recipe)] == ["level", "heat"]
    assert "'time' looks like the time" in (tmp_path / "recipe.toml").read_text()


def test_signals_that_come_apart_are_read_as_messages(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"time": pd.date_range("2026-01-01", periods=ROWS, freq="min")})
    frame["rpm"] = np.where(np.arange(ROWS) % 5 == 0, rng.normal(1000, 50, ROWS), np.nan)
    frame["temp"] = np.where(np.arange(ROWS) % 7 == 0, rng.normal(60, 2, ROWS), np.nan)
    frame["y"] = rng.normal(0, 1, ROWS)
    frame.to_csv(tmp_path / "changes.csv", index=False)
    recipe = drafted(tmp_path, str(tmp_path / "changes.csv"))
    assert recipe["data"]["rows"] == "messages"
    assert recipe["window"]["trigger"] == "period"
    assert all(one["max_age_s"] >= 60 for one in recipe["signals"])


def test_points_between_thousands_are_decided_and_doubted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(5)
    power = rng.integers(700, 3000, ROWS)
    lines = [
        f"{one:,}".replace(",", ".") + f";{one + 1000:,}".replace(",", ".")
        for one in power.tolist()
    ]
    (tmp_path / "power.csv").write_text("power;y\n" + "\n".join(lines) + "\n")
    recipe = drafted(tmp_path, str(tmp_path / "power.csv"), "--task", "regression")
    assert recipe["data"]["thousands"] == "."
    assert "three digits behind it" in capsys.readouterr().err


def test_page_shows_each_signal_and_asks_for_nothing(tmp_path: Path, plant: list[str]) -> None:
    drawn(tmp_path, *plant, "--target", "Güte")
    page = (tmp_path / "recipe.html").read_text()
    assert "Signal temp, °C" in page
    assert "Correlations" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page


@pytest.mark.parametrize("separator", [";", "\t", "blank"], ids=["semicolon", "tab", "blank"])
def test_decimal_commas_are_no_separators(tmp_path: Path, separator: str) -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        rng.normal(50, 9, (200, 4)).round(2), columns=["flow", "heat", "dust", "y"]
    )
    frame.insert(0, "time", pd.date_range("2026-05-04", periods=200, freq="5s").strftime("%FT%TZ"))
    text = frame.to_csv(sep=" " if separator == "blank" else separator, decimal=",", index=False)
    (tmp_path / "dryer.csv").write_text(text)
    recipe = drafted(tmp_path, str(tmp_path / "dryer.csv"), "--target", "y")
    assert recipe["data"]["separator"] == separator
    assert signals(recipe).keys() == {"flow", "heat", "dust"}


def test_regression_over_time_leaves_the_length_of_its_windows_to_training(tmp_path: Path) -> None:
    """What acts after 40 s is out of sight of ten samples of a second."""
    rng = np.random.default_rng(5)
    flow = np.repeat(rng.normal(0, 1, 90), 20)
    late = np.concatenate([np.zeros(40), flow[:-40]]) + rng.normal(0, 0.05, len(flow))
    time = pd.date_range("2026-05-04", periods=len(flow), freq="s").strftime("%FT%TZ")
    pd.DataFrame({"time": time, "flow": flow, "moisture": late}).to_csv(
        tmp_path / "dryer.csv", index=False
    )
    recipe = drafted(tmp_path, str(tmp_path / "dryer.csv"), "--target", "moisture")
    assert recipe["window"]["lengths"] == [1, 5, 15, 30, 60, 120]
    train(tmp_path)
    (path,) = (tmp_path / "out").glob("*.zip")
    manifest = read_bundle(path.read_bytes()).manifest
    assert manifest.window.length == 60
    metrics = manifest.metrics.values  # noqa: PD011  a dictionary
    assert metrics["r2"] > 0.9


def test_sentinel_in_a_row_is_missing_and_not_stuck(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    heat = rng.normal(50, 9, 900).round(2)
    heat[300:340] = -9999
    time = pd.date_range("2026-05-04", periods=900, freq="s").strftime("%FT%TZ")
    flow = rng.normal(5, 1, 900).round(3)
    frame = pd.DataFrame({"time": time, "heat": heat, "flow": flow, "y": 2 * flow})
    frame["y"] += rng.normal(0, 0.5, 900)
    frame.to_csv(tmp_path / "oven.csv", index=False)
    recipe = drafted(tmp_path, str(tmp_path / "oven.csv"), "--target", "y")
    assert signals(recipe)["heat"]["range"][0] > -9999


def test_numbers_that_are_left_out_at_sight_are_drawn_beside_the_reason(
    tmp_path: Path, plant: list[str]
) -> None:
    drafted(tmp_path, *plant, "--target", "Güte")
    page = (tmp_path / "recipe.html").read_text()
    left_out = page[page.index("Left out") :]
    assert all(f"Signal {name}" in left_out for name in ("lfd Nr", "Zähler"))
    assert not any(f"Signal {name}" in page for name in ("fix", "Teil", "Zeit", "Güte [%]"))
    assert "2 of them are drawn" in left_out


def test_signal_that_a_check_speaks_against_is_drawn_beside_the_reason(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    time = pd.date_range("2026-05-04", periods=900, freq="s").strftime("%FT%TZ")
    flow = rng.normal(5, 1, 900).round(3)
    y = 2 * flow + rng.normal(0, 0.5, 900)
    frame = pd.DataFrame({"time": time, "flow": flow, "lab": (3 * y).round(4), "y": y.round(4)})
    frame.to_csv(tmp_path / "oven.csv", index=False)
    recipe = drafted(tmp_path, str(tmp_path / "oven.csv"), "--target", "y")
    assert signals(recipe).keys() == {"flow"}
    page = (tmp_path / "recipe.html").read_text()
    left_out = page[page.index("Left out") :]
    assert "gives the target away" in left_out
    assert "Signal lab" in left_out


def press(path: Path, *, vibration: str = "Vibration [mm/s]") -> None:
    """A file whose times hold a blank, with columns of words at its end."""
    rng = np.random.default_rng(6)
    frame = pd.DataFrame(
        {
            "Time": pd.date_range("2026-03-01", periods=ROWS, freq="10s"),
            "Load [%]": rng.uniform(20, 90, ROWS).round(1),
            vibration: rng.uniform(1, 3, ROWS).round(3),
            "Operator": rng.choice(["AB", "CD"], ROWS),
            "program": rng.choice(["deep", "flat", "ring"], ROWS),
            "state": np.where(np.arange(ROWS) % 400 > 300, "worn", "ok"),
        }
    )
    frame.to_csv(path, index=False)


def test_blank_in_times_is_no_separator(tmp_path: Path) -> None:
    press(tmp_path / "press.csv")
    recipe = drafted(tmp_path, str(tmp_path / "press.csv"), "--target", "state")
    assert recipe["data"]["separator"] == ","
    assert [*signals(recipe)] == ["Load [%]", "Vibration [mm/s]", "program"]


def test_week_of_an_american_export_is_a_week_and_its_rolls_are_numbers(tmp_path: Path) -> None:
    """Dates that may be months, half days in a column of their own, and a number of each roll."""
    rng = np.random.default_rng(8)
    time = pd.date_range("2026-03-02 06:00", periods=1300, freq="7min")
    speed = rng.normal(210, 5, 1300).round(1)
    frame = pd.DataFrame(
        {
            "Date": time.strftime("%m/%d/%Y"),
            "Time": time.strftime("%I:%M:%S %p"),
            "Speed (fpm)": speed,
            "Roll No": 41_000 + np.arange(1300) // 40,
            "Thickness (mil)": (400 / speed + rng.normal(0, 0.02, 1300)).round(3),
        }
    )
    frame.to_csv(tmp_path / "line4.csv", index=False)
    recipe = drafted(tmp_path, str(tmp_path / "line4.csv"), "--target", "Thickness")
    assert recipe["data"]["time"]["column"] == ["Date", "Time"]
    assert recipe["data"]["time"]["format"] == "%m/%d/%Y %I:%M:%S %p"
    assert [*signals(recipe)] == ["Speed (fpm)"]
    text = (tmp_path / "recipe.toml").read_text()
    assert "'Roll No': it never falls (41000 to 41032), as numbers of rolls" in text
    assert "within 6.3 days instead of" in text


def test_what_is_measured_of_a_machine_is_no_name_of_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2026-05-04", periods=ROWS, freq="s").strftime("%FT%TZ"),
            "Line Speed": rng.integers(195, 215, ROWS),
            "Pump Status": np.where(np.arange(ROWS) % 300 < 250, "on", "off"),
            "flow": rng.normal(5, 1, ROWS).round(3),
        }
    )
    frame["y"] = frame["flow"] + frame["Line Speed"] / 100
    frame.to_csv(tmp_path / "water.csv", index=False)
    recipe = drafted(tmp_path, str(tmp_path / "water.csv"), "--target", "y")
    assert "asset_column" not in recipe["data"]
    assert [*signals(recipe)] == ["Line Speed", "Pump Status", "flow"]


def test_who_was_there_is_no_signal_and_order_of_words_is_doubted(tmp_path: Path) -> None:
    press(tmp_path / "press.csv")
    drafted(tmp_path, str(tmp_path / "press.csv"), "--target", "state")
    text = " ".join((tmp_path / "recipe.toml").read_text().replace("\n#", "").split())
    assert "'Operator': by its name it says who was there" in text
    assert "UNSURE: codes number the states by the alphabet" in text


def test_column_that_some_files_lack_is_doubted(tmp_path: Path) -> None:
    press(tmp_path / "early.csv")
    press(tmp_path / "later.csv", vibration="Vib [mm/s]")
    files = [str(tmp_path / name) for name in ("early.csv", "later.csv")]
    recipe = drafted(tmp_path, *files, "--target", "state")
    assert [*signals(recipe)] == ["Load [%]", "program"]
    text = " ".join((tmp_path / "recipe.toml").read_text().replace("\n#", "").split())
    assert "'Vibration [mm/s]', 'Vib [mm/s]': not all files have these columns" in text


def spreadsheet(path: Path, numbers: list[str]) -> None:
    """Titles filled up to the width of the table, and quotes around numbers with a comma."""
    rng = np.random.default_rng(10)
    head = ["Film Line 4 - History,,,,", '"Akron, OH",,Exported: 7:02 AM,,', ",,,,"]
    head.append("Line Speed (ft/min),Ambient,Screw,Roll,Gauge")
    level = rng.normal(70, 2, (len(numbers), 4)).round(1).tolist()
    rows = [f'"{one}",{",".join(map(str, at))}' for one, at in zip(numbers, level, strict=True)]
    path.write_text("\r\n".join([*head, *rows]) + "\r\n")


def test_titles_of_a_spreadsheet_are_no_header_and_its_thousands_are_certain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speeds = np.random.default_rng(11).uniform(800, 1400, ROWS)
    spreadsheet(tmp_path / "export.csv", [f"{one:,.1f}" for one in speeds])
    recipe = drafted(tmp_path, str(tmp_path / "export.csv"), "--target", "Gauge")
    assert [*signals(recipe)] == ["Line Speed (ft/min)", "Ambient", "Screw", "Roll"]
    assert signals(recipe)["Line Speed (ft/min)"]["range"][1] > 1400
    assert recipe["data"]["separator"] == recipe["data"]["thousands"] == ","
    assert "separates thousands" not in capsys.readouterr().err
    train(tmp_path)
    assert len([*(tmp_path / "out").glob("*.zip")]) == 1


def test_titles_above_a_narrow_table_are_no_header(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    rows = (
        f"{heat:.1f},{flow:.2f},{at % 7}"
        for at, (heat, flow) in enumerate(rng.normal(9, 1, (ROWS, 2)))
    )
    titles = "Machine,M1,\nOperator,Eva,\n,,\n"
    (tmp_path / "oven.csv").write_text(titles + "heat,flow,gauge\n" + "\n".join(rows) + "\n")
    recipe = drafted(tmp_path, str(tmp_path / "oven.csv"), "--target", "gauge")
    assert [*signals(recipe)] == ["heat", "flow"]


def test_header_without_a_name_for_the_row_numbers_is_a_header(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    words = {name: rng.choice(["ok", "low", "high"], ROWS) for name in ("mode", "valve", "lamp")}
    frame = pd.DataFrame({**words, "y": rng.normal(9, 1, ROWS).round(2)})
    frame.to_csv(tmp_path / "oven.csv")
    recipe = drafted(tmp_path, str(tmp_path / "oven.csv"), "--target", "y")
    assert [*signals(recipe)] == ["mode", "valve", "lamp"]


def test_states_in_a_column_called_time_are_a_signal(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    frame = pd.DataFrame({"time": np.where(rng.random(ROWS) < 0.5, "day", "night")})
    frame["heat"] = rng.normal(50, 9, ROWS).round(2)
    frame["y"] = (frame["heat"] + 9 * (frame["time"] == "day")).round(2)
    frame.to_csv(tmp_path / "oven.csv", index=False)
    recipe = drafted(tmp_path, str(tmp_path / "oven.csv"), "--target", "y")
    assert [*signals(recipe)] == ["time", "heat"]


def test_signal_that_gives_the_target_away_is_not_said_to_be_kept_for_being_stuck(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(15)
    heat, flow = rng.normal(50, 9, ROWS).round(2), rng.normal(5, 1, ROWS).round(3)
    heat[300:340] = heat[300]
    time = pd.date_range("2026-05-04", periods=ROWS, freq="s").strftime("%FT%TZ")
    frame = pd.DataFrame({"time": time, "heat": heat, "flow": flow, "y": 2 * heat})
    frame.to_csv(tmp_path / "oven.csv", index=False)
    recipe = drafted(tmp_path, str(tmp_path / "oven.csv"), "--target", "y")
    assert [*signals(recipe)] == ["flow"]
    assert "was stuck" not in capsys.readouterr().err


def test_decimal_commas_in_quotes_are_read_in_a_file_of_commas(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    rows = (f'"{one:.2f}"'.replace(".", ",") for one in rng.uniform(8, 14, ROWS))
    lines = (f"{row},{at % 7},{at % 9}" for at, row in enumerate(rows))
    (tmp_path / "oven.csv").write_text("heat,flow,y\n" + "\n".join(lines) + "\n")
    recipe = drafted(tmp_path, str(tmp_path / "oven.csv"), "--target", "y")
    assert recipe["data"]["separator"] == recipe["data"]["decimal"] == ","
    assert signals(recipe)["heat"]["range"][1] < 100


@pytest.mark.parametrize(
    ("header", "unit"),
    [("time_s", "s"), ("t_ms", "ms"), ("Operating hours", "h"), ("Time (min)", "min")],
    ids=["ending", "letter with ending", "word", "brackets"],
)
def test_unit_of_a_count_is_what_its_header_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, unit: str
) -> None:
    rng = np.random.default_rng(12)
    for run in ("healthy", "worn"):
        frame = pd.DataFrame({header: np.arange(200), "force": rng.normal(5, 1, 200), "state": run})
        frame.to_csv(tmp_path / f"{run}.csv", index=False)
    files = [str(tmp_path / f"{run}.csv") for run in ("healthy", "worn")]
    recipe = drafted(tmp_path, *files, "--target", "state")
    assert recipe["data"]["time"]["column"] == header
    assert recipe["data"]["time"]["unit"] == unit
    assert "its unit is not said" not in capsys.readouterr().err
    page = (tmp_path / "recipe.html").read_text()
    assert f">{header} 199<" in page
    assert "2000-01-01" not in page


def test_dates_that_cannot_be_read_are_no_states(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(13)
    heat = np.cumsum(rng.normal(0, 1, ROWS)) + 500
    frame = pd.DataFrame({"Date": [f"week 4{at // 240}" for at in range(ROWS)], "heat": heat})
    frame["y"] = heat + rng.normal(0, 1, ROWS)
    frame.to_csv(tmp_path / "oven.csv", index=False)
    recipe = drafted(tmp_path, str(tmp_path / "oven.csv"), "--target", "y")
    assert [*signals(recipe)] == ["heat"]
    said = capsys.readouterr().err
    assert "'Date' has the name of a time, but 'week 40' is not written like a date" in said
    assert "data.time.format" in said


def test_of_two_classes_that_are_as_frequent_the_one_that_is_not_normal_is_found(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(14)
    frame = pd.DataFrame({"force": rng.normal(5, 1, ROWS), "heat": rng.normal(60, 2, ROWS)})
    frame["state"] = np.where(np.arange(ROWS) % 2, "ok", "broken")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    recipe = drafted(tmp_path, str(tmp_path / "rows.csv"), "--target", "state")
    assert recipe["target"]["positive"] == "broken"
    assert "UNSURE: what is to be found" in (tmp_path / "recipe.toml").read_text()


@pytest.mark.parametrize(("rows", "is_kept"), [(50, True), (200, False)], ids=["brief", "long"])
def test_signal_that_was_stuck_briefly_is_kept_and_doubted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: int, *, is_kept: bool
) -> None:
    rng = np.random.default_rng(15)
    time = pd.date_range("2026-05-04", periods=ROWS, freq="s").strftime("%FT%TZ")
    heat, flow = rng.normal(50, 9, ROWS).round(2), rng.normal(5, 1, ROWS).round(3)
    heat[300 : 300 + rows] = heat[300]
    frame = pd.DataFrame({"time": time, "heat": heat, "flow": flow, "y": heat + flow})
    frame["y"] += rng.normal(0, 5, ROWS)
    frame.to_csv(tmp_path / "oven.csv", index=False)
    recipe = drafted(tmp_path, str(tmp_path / "oven.csv"), "--target", "y")
    assert ("heat" in signals(recipe)) is is_kept
    said = f"'heat' was stuck in {rows} of {ROWS} rows, for the longest from oven.csv line 302 on"
    assert (said in capsys.readouterr().err) is is_kept
