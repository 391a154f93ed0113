"""A candidate answers as many windows as its share of the time allows, and counts the others."""

from dataclasses import dataclass

import numpy as np
import pytest

from agent.config.shadow import Shadow
from agent.shadow.candidate import Candidate, Marks, Turn
from agent.shadow.comparison import Comparison
from agent.shadow.spare_time import SpareTime
from models.input.quality import Quality
from models.windowing.windows import Batch
from serving.clock import SteadyClock
from serving.incidents.under_way import UnderWay
from serving.model import Model, prove
from serving.pace import Pace
from serving.time_limit import TimeLimit
from tests.kit.bundles.graphs import detector_bundle

SECOND_NS = 1_000_000_000


@dataclass
class Clock:
    """A clock that a test moves."""

    now_ns: int = 0

    def __call__(self) -> int:
        return self.now_ns


def paced(window_s: float) -> Pace:
    pace = Pace()
    pace.note(1, round(window_s * SECOND_NS))
    return pace


def test_quiet_line_has_time_for_every_window() -> None:
    clock = Clock()
    spare = SpareTime(0.25, 0.5, clock)
    for _ in range(10):
        clock.now_ns += SECOND_NS
        assert spare.room(paced(0.001)) >= 100
        spare.spend(SECOND_NS // 10)


def test_busy_line_gives_no_more_than_the_share() -> None:
    clock = Clock()
    spare, pace, spent_ns = SpareTime(0.25, 0.5, clock), paced(0.001), 0
    while clock.now_ns < 100 * SECOND_NS:
        clock.now_ns += SECOND_NS // 100
        taken_ns = min(spare.room(pace), 64) * SECOND_NS // 1000
        spare.spend(taken_ns)
        spent_ns += taken_ns
    assert 0.24 <= spent_ns / clock.now_ns <= 0.26


def test_model_that_needs_longer_than_can_be_saved_is_given_a_window_now_and_then() -> None:
    clock = Clock()
    spare, pace, given = SpareTime(0.25, 0.5, clock), paced(2.0), 0
    for _ in range(1_000):
        clock.now_ns += SECOND_NS // 10
        if room := spare.room(pace):
            assert room == 1
            given += 1
            spare.spend(2 * SECOND_NS)
    assert 10 <= given <= 14


def model(seq: int) -> Model:
    return prove(detector_bundle("s", seq, [1.0, 0.0], threshold=50.0))


def batch_of(*values: float) -> Batch:
    rows = np.array([[[value, 0.0]] for value in values], np.float32)
    count = len(values)
    times = [number * SECOND_NS for number in range(count)]
    return Batch(["a"] * count, times, [Quality.GOOD] * count, rows)


@pytest.mark.parametrize(
    ("answers", "left_out"),
    [
        pytest.param([0.0] * 6, {"turn_full": 5}, id="no time"),
        pytest.param([None] * 6, {"unanswered": 6}, id="no answer of the champion"),
    ],
)
def test_windows_are_compared_or_counted_by_reason(
    answers: list[float | None], left_out: dict[str, int]
) -> None:
    champion, candidate, settings = model(1), model(2), Shadow()
    comparison = Comparison(champion, candidate, settings.gates, settings, 0.0)
    turn = Turn(SpareTime(0.25, 0.5, Clock()))  # nothing is known of its pace: one window
    marks = Marks(UnderWay(), TimeLimit(10.0), SteadyClock())
    shadow = Candidate(candidate, comparison, marks, turn, most=256)
    shadow.offer(batch_of(*range(6)), answers, answers)
    assert turn.due == [shadow]
    turn.end()
    said = comparison.document(stream="s", champion=1, candidate=2)
    assert said.left_out == left_out
    assert said.compared + sum(left_out.values()) == 6


def test_windows_beyond_those_of_a_turn_are_left_out() -> None:
    champion, candidate, settings = model(1), model(2), Shadow()
    comparison = Comparison(champion, candidate, settings.gates, settings, 0.0)
    turn = Turn(SpareTime(0.25, 0.5, Clock()))
    marks = Marks(UnderWay(), TimeLimit(10.0), SteadyClock())
    shadow = Candidate(candidate, comparison, marks, turn, most=8)
    for _ in range(3):
        shadow.offer(batch_of(*range(6)), [0] * 6, [0.0] * 6)
    assert comparison.document().left_out == {"turn_full": 12}
