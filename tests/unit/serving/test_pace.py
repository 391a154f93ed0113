"""What is expected of a model after the batches that it has answered."""

import pytest

from serving.pace import Pace


def test_nothing_is_expected_before_a_batch_was_measured() -> None:
    pace = Pace()
    assert (pace.window_ns, pace.undisturbed_ns, pace.room(1e9)) == (0.0, 0.0, 1)


def test_longer_time_counts_at_once_and_a_shorter_one_by_an_eighth() -> None:
    pace = Pace()
    for elapsed_ns in (1_000, 9_000, 1_000):
        pace.note(1, elapsed_ns)
    assert pace.window_ns == 8_000
    assert pace.room(80_000) == 10


def test_one_batch_that_was_delayed_is_no_slow_model_and_two_are() -> None:
    pace, found = Pace(), []
    for windows, elapsed_ns in ((10, 400_000), (1, 50_000_000), (1, 40_000), (1, 60_000_000)):
        pace.note(windows, elapsed_ns)
        found.append(pace.undisturbed_ns)
    assert found == [40_000, 40_000, 40_000, 40_000]
    pace.note(1, 70_000_000)
    assert pace.undisturbed_ns == pytest.approx(60_000_000)
