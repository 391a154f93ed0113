"""What the checks say of public sets whose traps are known."""

from collections.abc import Callable
from pathlib import Path

import pytest

from trainer.checks.finding import Finding
from trainer.checks.suite import CHECKS
from trainer.dataset.splits import split
from trainer.dataset.subject import Subject
from trainer.dataset.training_rows import training_rows
from trainer.recipe.document import read_recipe

RECIPES = Path(__file__).parent / "recipes"

pytestmark = pytest.mark.usefixtures("data")


def found(recipe: str, folder: Path, change: Callable[[str], str] = str) -> dict[str, Finding]:
    """The last finding of each check, of a recipe that is changed before."""
    path = folder / f"{recipe}.toml"
    path.write_text(change((RECIPES / f"{recipe}.toml").read_text()))
    made = read_recipe(path)
    recording, known = training_rows(made)
    parts = split(recording, known, made, made.window.spec(recording.period_ms()))
    subject = Subject(recording, known, made, parts)
    return {one.name: one for check in CHECKS.values() for one in check(subject)}


def with_signals(*names: str) -> Callable[[str], str]:
    added = "".join(f'[[signals]]\nname = "{name}"\n\n' for name in names)
    return lambda text: text.replace("[target]", f"{added}[target]")


def test_failure_modes_of_ai4i_are_found_and_its_signals_are_not(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    assert found("ai4i", tmp_path) == {}
    all_modes = found("ai4i", tmp_path, with_signals("TWF", "HDF", "PWF", "OSF"))["target-leak"]
    assert all_modes.severity == "error"
    assert found("ai4i", tmp_path, with_signals("HDF"))["target-leak"].severity == "warning"
    figure(f"AI4I (synthetic): {all_modes.evidence}")


def test_turbofans_that_were_stopped_early_are_neither_leak_nor_drift(tmp_path: Path) -> None:
    # The engines of the test part were stopped early, so they have longer left on the whole.
    assert found("cmapss", tmp_path) == {}


def test_temperatures_of_the_water_circulation_wander_and_nothing_else_does(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    wandering = "wandering-signal"
    assert wandering not in found("skab", tmp_path)
    named = found("skab", tmp_path, with_signals("Temperature", "Thermocouple"))[wandering]
    assert "'Temperature' (98%, " in named.evidence
    assert "'Thermocouple' (8" in named.evidence
    assert named.evidence.count("'") == 4
    figure(f"SKAB: {named.evidence}")
    assert wandering not in found("nab", tmp_path)


def test_nox_drifts_from_2014_on_and_not_before(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    drift = found("gas_turbine", tmp_path)["target-drift"]

    def three_years(text: str) -> str:
        return text.replace("gt_*.csv", "gt_201[123].csv").replace("22191", "15000")

    assert "target-drift" not in found("gas_turbine", tmp_path, three_years)
    figure(f"gas turbine: {drift.evidence}")


def test_random_split_of_the_turbine_is_called_what_it_is(tmp_path: Path) -> None:
    def at_random(text: str) -> str:
        return text.replace('"time"', '"random-optimistic"').replace("train_rows = 22191", "")

    assert "random-split-of-time-series" in found("gas_turbine", tmp_path, at_random)
