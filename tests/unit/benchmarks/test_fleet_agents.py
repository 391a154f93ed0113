"""What the run of a fleet of real agents makes of what it has heard."""

from benchmarks.fleet_agents.promises import back_s
from benchmarks.fleet_agents.recording import Answer, Said
from benchmarks.fleet_agents.scenario import GOOD_SEQ, LATE_SEQ


def answers(alarms: str) -> list[Answer]:
    """Predictions of the bundle that turns bad, one a second; `!` is an alarm."""
    return [
        Answer(row, LATE_SEQ, one == "!", str(row), float(row)) for row, one in enumerate(alarms)
    ]


def current(seq: int, at_s: float) -> Said:
    return Said({"seq": seq}, at_s, is_repeated=False)


def test_the_former_bundle_is_back_once_the_gate_is_full() -> None:
    said = [current(GOOD_SEQ, 0.0), current(LATE_SEQ, 1.0), current(GOOD_SEQ, 95.5)]
    assert back_s(answers("." * 60 + "!" * 31), said) == 95.5 - 89.0


def test_nothing_comes_back_where_alarms_are_few_or_old() -> None:
    quiet = answers(("!" + "." * 2) * 60)
    assert back_s(quiet, [current(GOOD_SEQ, 1000.0)]) is None


def test_a_gateway_that_keeps_the_bad_bundle_is_told() -> None:
    assert back_s(answers("!" * 60), [current(LATE_SEQ, 1.0)]) is None
