"""Answers of two models that are kept to be drawn."""

import numpy as np
import pytest

from agent.shadow.course import Course


def offer(course: Course, windows: range) -> None:
    """Answers to windows, one a second; the candidate's are one higher."""
    at_ms = np.array(windows, dtype=np.int64) * 1000
    answers = np.array(windows, dtype=np.float64)
    course.add(at_ms, answers, answers + 1)


def test_all_answers_are_kept_as_long_as_there_is_room() -> None:
    course = Course(4)
    offer(course, range(4))
    assert course.points == [(0, 0, 1), (1000, 1, 2), (2000, 2, 3), (3000, 3, 4)]


@pytest.mark.parametrize("batch", [1, 7, 1000], ids=["one by one", "seven", "all at once"])
def test_answers_are_evenly_chosen_from_all_windows(batch: int) -> None:
    course = Course(8)
    for begin in range(0, 1000, batch):
        offer(course, range(begin, min(begin + batch, 1000)))
    assert [at_ms for at_ms, _, _ in course.points] == [*range(0, 1000_000, 128_000)]


def test_windows_without_an_answer_are_left_out() -> None:
    course = Course(4)
    course.add(np.array([0, 1, 2]), np.array([1.0, np.nan, 3.0]), np.array([np.inf, 2.0, 4.0]))
    assert course.points == [(2, 3.0, 4.0)]


def test_nothing_is_kept_where_nothing_is_wanted() -> None:
    course = Course(0)
    offer(course, range(100))
    assert course.points == []
