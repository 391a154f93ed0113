"""How many messages a broker sends ahead is learned from its silence, and forgotten when wrong."""

from collections.abc import Sequence

import pytest

from agent.delivery.broker_window import BrokerWindow

TOLD = 200


def learned(rounds: Sequence[tuple[int, float, float]], told: int = TOLD) -> BrokerWindow:
    """A window after rounds of messages in flight, silence behind them, and time to the next."""
    window, now_s = BrokerWindow(), 100.0
    window.tell(told)
    for in_flight, silence_s, until_next_s in rounds:
        window.arrived(in_flight, now_s)
        now_s += silence_s
        window.released(in_flight, now_s)
        now_s += until_next_s
        window.arrived(1, now_s)
    return window


def test_receive_maximum_holds_until_the_broker_shows_less() -> None:
    assert learned([]).size == TOLD


@pytest.mark.parametrize("limit", [1, 2, 9])
def test_broker_that_waits_for_acknowledgements_is_known_after_one_silence(limit: int) -> None:
    assert learned([(limit, 0.7, 0.002)]).size == limit


def test_round_trip_of_a_slow_link_is_still_a_prompt_answer() -> None:
    assert learned([(1, 0.9, 0.2)]).size == 1


@pytest.mark.parametrize("interval_s", [5.0, 1.0, 0.1])
def test_quiet_line_is_not_taken_for_a_small_window(interval_s: float) -> None:
    assert learned([(1, interval_s / 2, interval_s / 2)] * 20).size == TOLD


def test_window_that_is_exceeded_was_none() -> None:
    window = learned([(1, 0.7, 0.002)])
    window.arrived(2, 200.0)
    assert window.size == TOLD


def test_broker_never_has_more_in_flight_than_it_was_told() -> None:
    assert learned([(7, 0.7, 0.002)], told=5).size == 5


def test_broker_that_was_told_nothing_is_not_held_to_the_receive_maximum() -> None:
    window = learned([], told=1)
    window.arrived(2, 200.0)
    assert window.size > TOLD
