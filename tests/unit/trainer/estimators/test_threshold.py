"""A threshold other than 0.5 is taken only where it is shown to be better."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.kit.recordings import pump_rows, recipe, write_csv
from tests.kit.wording import names
from trainer.dataset.splits import split
from trainer.dataset.training_rows import training_rows
from trainer.estimators.fitting import Model, fit
from trainer.estimators.threshold import Threshold, choose

Drawn = tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]


def drawn(share: float, signal: float, *, shift: float = 0.0, seed: int = 0) -> Drawn:
    """Events of a share of the windows, their scores, and five folds of 200 windows."""
    rng = np.random.default_rng(seed)
    positive = rng.random(1000) < share
    logit = np.log(share / (1 - share)) + signal * (positive - share) + rng.normal(size=1000)
    return positive, 1 / (1 + np.exp(-logit - shift)), np.arange(1000) // 200


def test_rare_events_that_a_half_would_miss_have_a_lower_threshold() -> None:
    found = choose(*drawn(0.05, 3.0, shift=-2.0))
    assert found.value == found.candidate < 0.4
    assert found.gain > 2 * found.error > 0
    assert names(str(found), "chosen by F1", f"{found.gain:+.3f}", f"{found.error:.3f}")


@pytest.mark.parametrize("share", [0.5, 0.3, 0.05], ids=["balanced", "uneven", "rare"])
def test_score_without_any_signal_leaves_the_threshold_at_a_half(share: float) -> None:
    taken = [choose(*drawn(share, 0.0, seed=seed)).value for seed in range(60)]
    # By chance a gain exceeds its standard error in one set of six.
    assert np.mean(np.array(taken) == 0.5) > 0.75


def test_weak_balanced_score_does_not_make_nearly_everything_positive() -> None:
    shares = []
    for seed in range(40):
        positive, score, fold = drawn(0.5, 1.0, seed=seed)
        shares.append((score > choose(positive, score, fold).value).mean())
    assert max(shares) < 0.9


@pytest.mark.parametrize(
    ("positive", "folds"),
    [(np.zeros(10, dtype=bool), 2), (np.ones(10, dtype=bool), 2), (np.arange(10) > 4, 1)],
    ids=["no event", "only events", "one fold"],
)
def test_nothing_to_try_leaves_a_half_and_says_so(positive: NDArray[np.bool_], folds: int) -> None:
    found = choose(positive, np.linspace(0, 1, 10), np.arange(10) % folds)
    assert str(found) == str(Threshold())
    assert names(str(found), "0.5", "no other one")


def test_model_knows_where_its_threshold_is_from(tmp_path: Path) -> None:
    header = ["time", "pressure", "flow", "label"]
    write_csv(tmp_path / "pump.csv", header, pump_rows(600))

    def fitted(name: str, column: str) -> Model:
        task = "classification" if name == "two" else "regression"
        made = recipe(
            tmp_path,
            data={"files": ["pump.csv"]},
            target={"task": task, "column": column},
            split={"method": "time", "test": 0.5},
        )
        recording, known = training_rows(made)
        return fit(split(recording, known, made, made.window.spec(1000)).train, known, made)

    model = fitted("two", "label")
    assert model.decision is not None
    assert model.threshold == model.decision.value
    assert fitted("number", "label").decision is None
