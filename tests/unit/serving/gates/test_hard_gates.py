"""Hard gates end a trial for what nobody could want, and for nothing that the champion does too."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from models.bundle.reference import Condition, Document, Histogram, Quantity
from models.input.quality import Quality
from serving.gates.answers import Answers
from serving.gates.constant import ConstantLimits
from serving.gates.hard import HardGates, HardLimits
from serving.gates.out_of_range import RangeLimits
from serving.gates.overrun import OverrunLimits
from serving.gates.storm import StormLimits

GOOD, BAD = int(Quality.GOOD), int(Quality.BAD)
RISING = np.linspace(10, 20, 300)


def answers(
    output: NDArray[np.float64], *, alarm: bool | NDArray[np.bool_] = False, quality: int = GOOD
) -> Answers:
    count = len(output)
    return Answers(
        output, output, np.broadcast_to(alarm, count), np.full(count, quality, dtype=np.int8)
    )


def seen_in_training(low: float, high: float) -> Document:
    """A reference whose answers were from `low` to `high`."""
    score = Quantity(
        count=100,
        missing_share=0,
        quantiles={"0": low, "0.5": (low + high) / 2, "1": high},
        level=Histogram(edges=(), counts=(100,)),
        condition=Condition(counts=(100, 0, 0, 0)),
    )
    return Document(signals={}, score=score)


def gate_of(champion: Answers | None, candidate: Answers, **limits: BaseModel) -> str | None:
    known = seen_in_training(10, 20)
    trip = HardGates(HardLimits.model_validate(limits), known, known).add(champion, candidate)
    return None if trip is None else trip.gate


@pytest.mark.parametrize("champion", [answers(RISING), None], ids=["in shadow", "after the swap"])
def test_model_like_the_champion_trips_nothing(champion: Answers | None) -> None:
    assert gate_of(champion, answers(RISING + 0.5)) is None


@pytest.mark.parametrize("lost", [np.nan, np.inf, -np.inf], ids=str)
def test_answer_that_is_no_number_ends_a_trial(lost: float) -> None:
    output = RISING.copy()
    output[7] = lost
    assert gate_of(answers(RISING), answers(output)) == "not_finite"
    assert gate_of(None, answers(output)) == "not_finite"
    assert gate_of(answers(output), answers(output)) is None


def test_answer_that_is_bad_ends_a_trial_where_the_champion_is_good() -> None:
    assert gate_of(answers(RISING), answers(RISING, quality=BAD)) == "bad_quality"
    assert gate_of(answers(RISING, quality=BAD), answers(RISING, quality=BAD)) is None
    assert gate_of(None, answers(RISING, quality=BAD)) is None


def test_constant_answer_ends_a_trial_where_the_champion_varies() -> None:
    constant = np.full(300, 15.0)
    assert gate_of(answers(RISING), answers(constant)) == "constant"
    assert gate_of(answers(np.round(RISING)), answers(constant)) is None
    assert gate_of(answers(RISING[:199]), answers(constant[:199])) is None


def test_constant_answer_is_found_in_batches_of_any_size() -> None:
    output = np.concatenate([RISING[:50], np.full(250, 15.0)])
    for size in (1, 7, 199, 300):
        gates = HardGates(HardLimits())
        ended = None
        for at in range(0, 300, size):
            part = slice(at, at + size)
            if gates.add(answers(RISING[part]), answers(output[part])) is not None:
                ended = at
                break
        assert ended == (249 // size) * size
        assert gates.tripped is not None


def test_champion_of_before_the_swap_goes_on_to_count() -> None:
    fresh, after = HardGates(HardLimits()), HardGates(HardLimits())
    after.before(answers(RISING))
    constant = answers(np.full(250, 15.0), alarm=True)
    assert fresh.add(None, constant) is None
    trip = after.add(None, constant)
    assert trip is not None
    assert trip.gate == "constant"
    assert trip.message == (
        "200 windows in a row have the same answer, "
        "where the champion had 20 different ones or more"
    )


def test_storm_after_the_swap_is_told_from_what_the_champion_was_like() -> None:
    gates = HardGates(HardLimits())
    gates.before(answers(RISING[:60]))
    trip = gates.add(None, answers(RISING[:60], alarm=np.arange(60) % 2 == 0))
    assert trip is not None
    assert trip.gate == "alarm_storm"
    loud = HardGates(HardLimits())
    loud.before(answers(RISING[:60], alarm=np.arange(60) < 4))
    assert loud.add(None, answers(RISING[:60], alarm=True)) is None


def test_answers_far_beyond_those_of_training_end_a_trial() -> None:
    far = RISING.copy()
    far[[100, 120, 140]] = 31, -1, 31
    assert gate_of(answers(RISING), answers(far)) == "out_of_range"
    assert gate_of(None, answers(far)) == "out_of_range"
    assert gate_of(answers(far), answers(far)) is None, "the plant itself is out of range"
    assert gate_of(answers(RISING), answers(np.minimum(far, 30))) is None, "twice the range"
    seldom = RangeLimits(windows=40)
    assert gate_of(answers(RISING), answers(far), range=seldom) is None, "spikes far apart"


def test_fault_of_the_plant_is_no_fault_of_the_candidate() -> None:
    """A score beyond the range of training is what a detector is for."""
    known, fault = seen_in_training(10, 20), answers(np.full(60, 100.0))
    beside = HardGates(HardLimits(), known, known, scored=True)
    assert beside.add(answers(np.full(60, 20.1)), fault) is None, "the champion finds it new, too"
    alone = HardGates(HardLimits(), known, known, scored=True)
    assert alone.add(None, fault) is None
    ordinary = HardGates(HardLimits(), known, known, scored=True)
    assert ordinary.add(answers(np.full(60, 19.9)), fault) is not None


def test_bundle_without_a_reference_has_no_range() -> None:
    far = answers(RISING * 1000)
    assert HardGates(HardLimits()).add(answers(RISING), far) is None
    same = seen_in_training(5, 5)
    assert HardGates(HardLimits(), same, same).add(answers(RISING), far) is None


def test_model_that_is_slower_than_it_may_be_ends_a_trial() -> None:
    limits = HardLimits(overrun=OverrunLimits(latency_ms=2, batches=100))
    gates = HardGates(limits)
    assert [gates.took(1.0, 3.0) for _ in range(100)] == [None] * 100
    trips = [gates.took(1.0, 3.0) for _ in range(100)]
    assert trips[-1] is not None
    assert trips[-1].gate == "slow"
    busy = HardGates(limits)
    assert not any(busy.took(4.0, 3.0) for _ in range(1000)), "the champion is as slow"
    seldom = HardGates(limits)
    assert not any(seldom.took(1.0, 3.0 if at % 100 == 50 else 1.0) for at in range(1000))


@pytest.mark.parametrize("share", [0.003, 0.01, 0.1], ids=["seldom", "now and then", "often"])
def test_model_is_not_slow_where_both_are_interrupted(share: float) -> None:
    limits = HardLimits(overrun=OverrunLimits(latency_ms=2))
    rng = np.random.default_rng(4)
    ends = []
    for _ in range(20):
        gates = HardGates(limits)
        champion, candidate = 0.3 + 12 * _interrupted(rng, share)
        ends.append(any(map(gates.took, (2 * champion).tolist(), candidate.tolist())))
    assert not any(ends)


def _interrupted(rng: np.random.Generator, share: float) -> NDArray[np.bool_]:
    """Whether each of two models is interrupted in each of 2,000 batches, for five at a time."""
    begins = rng.random((2, 2000)) < share
    found: NDArray[np.bool_] = np.any([np.roll(begins, by, axis=1) for by in range(5)], axis=0)
    return found


def test_model_that_is_larger_than_it_may_be_ends_a_trial() -> None:
    gates = HardGates(HardLimits(overrun=OverrunLimits(memory_bytes=50_000_000)))
    assert gates.takes(50_000_000) is None
    trip = gates.takes(80_000_000)
    assert trip is not None
    assert (trip.gate, trip.message) == (
        "large",
        "the model takes 80 MB, allowed are 50 MB",
    )


def test_costs_without_a_limit_end_no_trial() -> None:
    gates = HardGates(HardLimits())
    assert not any(gates.took(1.0, 1e6) for _ in range(500))
    assert gates.takes(10**12) is None


def test_first_gate_stays() -> None:
    gates = HardGates(HardLimits())
    first = gates.add(answers(RISING), answers(RISING, quality=BAD))
    assert gates.add(answers(RISING), answers(RISING * np.nan)) is first


@pytest.mark.parametrize(
    ("section", "fields"),
    [
        (ConstantLimits, {"windows": 5}),
        (ConstantLimits, {"distinct": 1}),
        (RangeLimits, {"ranges": 0}),
        (RangeLimits, {"beyond": 0}),
        (OverrunLimits, {"latency_ms": 0}),
        (OverrunLimits, {"batches": 10}),
        (StormLimits, {"windows": 59}),
    ],
    ids=lambda one: one.__name__ if isinstance(one, type) else next(iter(one)),
)
def test_limit_that_cannot_be_meant_is_refused(
    section: Callable[..., BaseModel], fields: dict[str, float]
) -> None:
    with pytest.raises(ValidationError):
        section(**fields)
