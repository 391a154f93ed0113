"""Measuring ends in the time that it is given, however slow the graph is."""

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.proof import measurement
from serving.proof.measurement import time_batch, time_single

WINDOWS = np.arange(5, dtype=np.float32).reshape(5, 1, 1)


class Model:
    """A model that takes as long for each window as it says, by a clock of its own."""

    def __init__(self, window_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.now_s, self._window_s = 0.0, window_s
        for clock in ("perf_counter", "process_time"):
            monkeypatch.setattr(measurement, clock, lambda: self.now_s)

    def run(self, windows: NDArray[np.float32]) -> None:
        self.sizes.append(len(windows))
        self.now_s += len(windows) * self._window_s


def test_fast_model_is_timed_five_hundred_times(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(0.0001, monkeypatch)
    times = time_single(model.run, WINDOWS, 1.0)
    assert model.sizes == [1] * 500
    assert (times.p50_ms, times.p99_ms) == pytest.approx((0.1, 0.1))


def test_slow_model_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(0.3, monkeypatch)
    assert time_single(model.run, WINDOWS, 0.2).p99_ms == pytest.approx(300)
    assert model.sizes == [1]


def test_batch_is_approached_by_doubling(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(1e-6, monkeypatch)
    said: list[str] = []
    size, times = time_batch(model.run, WINDOWS, 100, 1.0, said.append)
    assert size == 100
    assert times.p50_ms == pytest.approx(0.1)
    assert list(dict.fromkeys(model.sizes)) == [1, 2, 4, 8, 16, 32, 64, 100]
    assert said[-1] == "answering 100 windows at a time"


def test_batch_that_would_take_too_long_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(0.1, monkeypatch)
    size, times = time_batch(model.run, WINDOWS, 256, 2.0, lambda _: None)
    assert size == 8
    assert times.p50_ms == pytest.approx(800)
    assert model.now_s <= 2.0 + 0.8
