"""Alarms of a detector that was trained on SKAB name the signal that is at fault."""

from pathlib import Path

import pytest

from benchmarks.explanations import CASES, cases, hits, trained
from serving.model import prove
from trainer.recipe.document import read_recipe

RECIPE = Path(__file__).parent / "recipes" / "skab.toml"

pytestmark = pytest.mark.usefixtures("data")


def test_a_faulty_signal_comes_first_in_its_alarm() -> None:
    skab = trained(read_recipe(RECIPE))
    model = prove(skab.bundle)
    assert model.explainer is not None
    assert sum(1 for _ in cases(model, skab)) == CASES
    assert hits(model, model.explainer, skab)["all"] >= 0.85
    assert model.explainer.windows <= 25
