"""The processes of a search: each can be ended, and what became of its candidate is told."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline

from trainer.estimators.crossval import CrossValidation, Scorer
from trainer.search.worker import Job
from trainer.search.worker_pool import DIED, WorkerPool

ROWS = 200


def workers() -> list[int]:
    """The processes of a pool that this process has started."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    lines = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in found}
    return [child for child, line in lines.items() if b"trainer.search.worker" in line]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[WorkerPool]:
    rows = np.arange(ROWS)
    drawn = np.random.default_rng(0).normal(size=(ROWS, 20)).astype(np.float32)
    np.save(tmp_path / "plain.npy", drawn)
    folds = ((rows[:100], rows[100:]), (rows[100:], rows[:100]))
    validation = CrossValidation(drawn[:, 0].astype(np.float64), folds, Scorer("rmse"))
    with WorkerPool(1, validation, tmp_path) as made:
        yield made
    assert workers() == []


def job(tmp_path: Path, estimator: object) -> Job:
    return Job(Pipeline([("estimator", estimator)]), str(tmp_path / "plain.npy"))


def quick(tmp_path: Path) -> Job:
    return job(tmp_path, Ridge())


def endless(tmp_path: Path) -> Job:
    """A fit of hours: a wide network that never stops early."""
    rounds = {"max_iter": 10**6, "n_iter_no_change": 10**6, "tol": 0.0}
    return job(tmp_path, MLPRegressor(hidden_layer_sizes=(2000, 2000), **rounds))


def test_candidate_beyond_its_limit_is_ended_and_the_next_has_its_turn(
    pool: WorkerPool, tmp_path: Path
) -> None:
    jobs = [quick(tmp_path), endless(tmp_path), quick(tmp_path)]
    found = dict(pool.results(jobs, limit_s=lambda _: 4.0, ends_s=None))
    assert found[1] is None
    for index in (0, 2):
        tried = found[index]
        assert tried is not None
        assert len(tried.losses) == 2
        assert tried.reason == ""


def test_end_of_the_time_ends_what_runs(pool: WorkerPool, tmp_path: Path) -> None:
    assert len(list(pool.results([quick(tmp_path)], limit_s=None, ends_s=None))) == 1
    assert len(workers()) == 1
    assert list(pool.results([endless(tmp_path)], limit_s=None, ends_s=monotonic() + 1)) == []
    assert workers() == []


def test_candidate_whose_process_is_ended_from_outside_is_told(
    pool: WorkerPool, tmp_path: Path
) -> None:
    results = pool.results([quick(tmp_path)] * 3, limit_s=None, ends_s=None)
    first, _ = next(results)
    (child,) = workers()
    os.kill(child, signal.SIGKILL)
    reasons = [tried.reason for _, tried in results if tried is not None]
    assert first == 0
    assert reasons == [DIED, ""]


def test_bug_in_a_process_is_raised_here(pool: WorkerPool, tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        list(pool.results([job(tmp_path, "passthrough")], limit_s=None, ends_s=None))
