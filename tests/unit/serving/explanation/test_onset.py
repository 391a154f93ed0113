"""Which answers begin an alarm."""

from collections.abc import Sequence

import pytest

from serving.explanation.onset import Onset


@pytest.mark.parametrize(
    ("values", "begun"),
    [
        pytest.param([0, 0, 0], [], id="none"),
        pytest.param([1, 1], [0], id="from-the-first-answer-on"),
        pytest.param([0, 1, 1, 0, 1], [1, 4], id="twice"),
        pytest.param([1, None, 1], [0], id="over-an-answer-that-is-missing"),
        pytest.param([1, 2, 2, 0], [0, 1], id="another-kind-of-alarm"),
    ],
)
def test_an_alarm_begins_once(values: Sequence[int | None], begun: Sequence[int]) -> None:
    onset = Onset([1, 2], 10)
    assert list(onset.of(["a"] * len(values), values)) == begun
    again = Onset([1, 2], 10)
    one_by_one = [
        place for place, value in enumerate(values) if list(again.of(["a"], [value])) == [0]
    ]
    assert one_by_one == begun


def test_assets_have_alarms_of_their_own() -> None:
    onset = Onset([1], 10)
    assert list(onset.of(["a", "b", "a"], [1, 0, 1])) == [0]
    assert list(onset.of(["b", "a"], [1, 1])) == [0]


def test_of_too_many_assets_the_oldest_alarm_is_forgotten() -> None:
    onset = Onset([1], 2)
    assert list(onset.of(["a", "b", "c"], [1, 1, 1])) == [0, 1, 2]
    assert list(onset.of(["c", "b", "a"], [1, 1, 1])) == [2]
