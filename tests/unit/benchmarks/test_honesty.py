"""Small versions of `python -m benchmarks.honesty`: no claim without a signal, honest intervals."""

import numpy as np
import pytest

from benchmarks.honesty import NOISE, TASKS, claim, coverage, in_time
from models.bundle.manifest import Task


@pytest.mark.parametrize("task", TASKS)
def test_models_of_noise_do_not_claim_a_skill(task: Task) -> None:
    found = [claim(kind, task, seed) for kind in NOISE for seed in range(2)]
    assert [one.claimed for one in found] == [False] * len(found)
    assert np.mean([one.skill for one in found]) < 0.2


@pytest.mark.parametrize("task", TASKS[:2])
def test_intervals_over_six_assets_hold_the_truth_as_often_as_they_say(task: Task) -> None:
    found = [coverage(task, 6, seed) for seed in range(60)]
    for name in found[0]:
        assert np.mean([one[name] for one in found]) >= 0.83, name


def test_intervals_in_time_hold_the_truth_where_errors_remember() -> None:
    found = [in_time("regression", 0.95, seed) for seed in range(30)]
    for name in ("mae", "rmse"):
        assert np.mean([one[name] for one in found]) >= 0.8, name
