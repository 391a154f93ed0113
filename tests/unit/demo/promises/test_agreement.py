"""Predictions are compared with those over HTTP, with the readings that led to them."""

from collections.abc import Mapping
from typing import Any

from demo.promises.agreement import KEPT, Agreement, Readings
from demo.promises.verdicts import agreed

LENGTH = 3


def played(readings: int) -> Agreement:
    """An agreement after readings of one pump, each of which is predicted by its own value."""
    agreement = Agreement(LENGTH)
    for number in range(readings):
        agreement.sent("l1/p1", number, {"flow": float(number)})
        agreement.received(predicted(number))
    return agreement


def predicted(number: int) -> dict[str, Any]:
    return {"asset": "l1/p1", "timestamp": number, "seq": 2, "value": float(number)}


def over_http(seq: int, readings: Readings) -> Mapping[str, Any]:
    assert seq == 2
    assert len(readings) > LENGTH
    return predicted(readings[-1]["time"])


def test_equal_answers_keep_the_promise() -> None:
    agreement = played(200)
    agreement.compare(over_http)
    verdict = agreed(agreement)
    assert verdict.kept
    assert verdict.numbers.startswith(f"{agreement.compared} predictions")


def test_one_other_bit_breaks_the_promise_and_is_shown() -> None:
    agreement = played(200)
    agreement.compare(lambda seq, readings: {**over_http(seq, readings), "value": 1e-17})
    verdict = agreed(agreement)
    assert not verdict.kept
    assert "value of l1/p1 at" in verdict.numbers
    assert "1e-17 over HTTP" in verdict.numbers


def test_promise_is_not_kept_where_nothing_was_compared() -> None:
    agreement = played(LENGTH)
    agreement.compare(over_http)
    assert not agreed(agreement).kept


def test_as_many_are_kept_as_the_limit_says() -> None:
    agreement = played(100 * KEPT)
    agreement.compare(over_http)
    assert agreement.compared == KEPT
