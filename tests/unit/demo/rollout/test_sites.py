"""What was sent and what was answered, as the demo of rollouts counts it."""

from demo.rollout.scenario import SCHEME
from demo.rollout.sites import Readings

PUMP = "site-1/line-1/pump-1"
OTHER = "site-2/line-1/pump-1"
SENT = f"{PUMP}/telemetry"
ANSWERED = f"{PUMP}/_inference/pump-health"


def sent(count: int) -> Readings:
    """So many readings of a pump, at 100, 200 and so on milliseconds."""
    readings = Readings()
    for number in range(1, count + 1):
        readings.send(SENT, 100 * number)
    return readings


def test_readings_before_the_first_window_need_no_answer() -> None:
    readings = sent(SCHEME.window - 1)
    assert readings.sent == SCHEME.window - 1
    assert readings.unanswered(10_000) == 0


def test_reading_without_an_answer_counts_until_it_comes() -> None:
    readings = sent(SCHEME.window + 1)
    assert readings.unanswered(10_000) == 2
    readings.answer(ANSWERED, 100 * SCHEME.window)
    assert readings.unanswered(10_000) == 1
    assert readings.unanswered(100 * SCHEME.window) == 0


def test_answer_that_comes_twice_or_for_another_site_answers_nothing_else() -> None:
    readings = sent(SCHEME.window + 1)
    for _ in range(2):
        readings.answer(ANSWERED, 100 * SCHEME.window)
    readings.answer(ANSWERED.replace(PUMP, OTHER), 100 * (SCHEME.window + 1))
    assert readings.unanswered(10_000) == 1
