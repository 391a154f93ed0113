"""Drift is found where there is some, and undisturbed data is left in peace at the stated rate."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.bundle.reference import Reference
from models.drift import BLOCKS, MAX_BYTES, Decision, Drift
from tests.kit.undisturbed import WIDTH, assets, reference, repeating, samples
from tests.kit.wording import naming

STATED = 0.001
TRAINED = 20_000


@cache
def calibrated(rho: float, window: int, seed: int = 0) -> Reference:
    return reference(repeating(rho, TRAINED, seed), window, STATED)


def judged(known: Reference, values: NDArray[np.float32]) -> list[Decision]:
    scores = samples(values).scores
    return list(Drift(known).feed(["pump"] * len(values), values, scores))


def alarms(known: Reference, values: NDArray[np.float32]) -> float:
    """Share of the windows that are an alarm."""
    return float(np.mean([decision.ratios.max() > 1 for decision in judged(known, values)]))


@pytest.mark.parametrize("window", [200, 1000])
@pytest.mark.parametrize("rho", [0.0, 0.9, 0.99])
def test_undisturbed_data_raises_the_alarm_at_the_stated_rate(rho: float, window: int) -> None:
    shares = [
        alarms(calibrated(rho, window, seed), values)
        for seed in range(4)
        for values in assets(rho, 8 * window, 100 + seed, many=20)
    ]
    # 640 windows that share no sample: one unusual stretch is an alarm for about ten decisions, so
    # two of them come to 0.004.
    assert np.mean(shares) <= 4 * STATED


def test_textbook_limit_raises_it_all_the_time() -> None:
    """The reason for calibrating: PSI > 0.1 in ten cells, on the same data."""
    trained, fresh = repeating(0.9, TRAINED, 0)[:, 0], repeating(0.9, 40_000, 1)[:, 0]
    edges = np.quantile(trained, np.arange(1, 10) / 10)
    cells = np.searchsorted(edges, fresh).reshape(-1, 200)
    p = np.array([np.bincount(window, minlength=10) + 0.5 for window in cells]) / 205
    psi = ((p - 0.1) * np.log(p / 0.1)).sum(axis=1)
    assert np.mean(psi > 0.1) > 0.5


def moved(values: NDArray[np.float32]) -> None:
    values[:, 0] += 1


def spread(values: NDArray[np.float32]) -> None:
    values[:, 0] *= np.float32(2**0.5)


def stuck(values: NDArray[np.float32]) -> None:
    values[:, 0] = values[0, 0]


def in_another_unit(values: NDArray[np.float32]) -> None:
    values[:, 0] = 32 + 1.8 * values[:, 0]


def gone(values: NDArray[np.float32]) -> None:
    values[:, 0] = np.nan


@pytest.mark.parametrize(
    ("change", "rho", "window"),
    [
        (moved, 0.0, 200),
        (moved, 0.9, 1000),
        (spread, 0.0, 1000),
        *(
            (change, rho, 200)
            for change in (stuck, in_another_unit, gone)
            for rho in (0, 0.9, 0.99)
        ),
    ],
)
def test_real_change_is_found_in_the_first_whole_window(
    change: Callable[[NDArray[np.float32]], None], rho: float, window: int
) -> None:
    values = repeating(rho, window, 7)
    change(values)
    (decision,) = judged(calibrated(rho, window), values)
    assert decision.ratios.max() > 1
    assert calibrated(rho, window).views[int(decision.ratios.argmax())][0] == "s0"


def test_relation_finds_what_no_signal_shows_by_itself() -> None:
    """Signals that go together as a plant's do under load, and a sensor that is off by a third."""
    load = repeating(0.99, TRAINED + 400, 3)[:, :1]
    noise = repeating(0.0, TRAINED + 400, 4)
    together = (load + 0.1 * noise).astype(np.float32)
    known = reference(together[:TRAINED], 400, STATED)
    off = together[TRAINED:].copy()
    off[:, 1] += np.float32(0.33)
    (decision,) = judged(known, off)
    beyond = {known.views[index] for index in np.flatnonzero(decision.ratios > 1)}
    assert ("s1", "relation") in beyond
    assert not {view for view in beyond if view[1] == "level"}


def test_one_bad_message_is_no_drift() -> None:
    values = repeating(0.0, 200, 8)
    values[10] = np.nan
    values[20, 0] = 1e6
    (decision,) = judged(calibrated(0.0, 200), values)
    conditions = [i for i, view in enumerate(calibrated(0.0, 200).views) if view[1] == "condition"]
    assert decision.ratios[conditions].max() < 1


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=12), st.integers(1, 5))
def test_decisions_do_not_depend_on_how_samples_were_batched(sizes: list[int], pumps: int) -> None:
    known = calibrated(0.0, 200)
    values = repeating(0.0, sum(sizes) + 1500, 9)
    names = [f"a{index % pumps}" for index in range(len(values))]
    scores = samples(values).scores
    at_once = [(d.asset, d.ratios.tolist()) for d in Drift(known).feed(names, values, scores)]
    drift, start = Drift(known), 0
    found: list[Decision] = []
    for size in [*sizes, len(values)]:
        part = slice(start, start + size)
        found += drift.feed(names[part], values[part], scores[part])
        start += size
    assert sorted((d.asset, d.ratios.tolist()) for d in found) == sorted(at_once)


def test_position_is_that_of_the_sample_that_completed_the_window() -> None:
    values = repeating(0.0, 450, 9)
    pumps = ["a", "b", "b"] * 150
    drift = Drift(calibrated(0.0, 200))
    found = list(drift.feed(pumps, values, samples(values).scores))
    by_asset = {name: [n for n, one in enumerate(pumps) if one == name] for name in "ab"}
    assert [d.position for d in found] == [by_asset["b"][n] for n in (199, 224, 249, 274, 299)]


def test_state_goes_on_where_it_was_taken() -> None:
    known, values = calibrated(0.0, 200), repeating(0.0, 700, 9)
    scores = samples(values).scores
    first = Drift(known)
    list(first.feed(["a"] * 333, values[:333], scores[:333]))
    second = Drift(known)
    for asset, state in first.states():
        second.restore(asset, state)
    assert second.worst() == first.worst()
    rest = [list(d.feed(["a"] * 367, values[333:], scores[333:])) for d in (first, second)]
    assert [d.ratios.tolist() for d in rest[0]] == [d.ratios.tolist() for d in rest[1]]
    assert len(rest[0]) > 10


def test_state_of_another_reference_is_refused() -> None:
    drift = Drift(calibrated(0.0, 200))
    list(drift.feed(["a"], np.zeros((1, WIDTH), np.float32), np.zeros(1)))
    ((asset, state),) = drift.states()
    with pytest.raises(ValueError, match=naming(str(len(state) - 1), str(len(state)))):
        drift.restore(asset, state[:-1])


def test_one_asset_that_drifts_is_named() -> None:
    values = repeating(0.0, 900, 10)
    pumps = ["a", "b", "c"] * 300
    values[1::3, 2] += 5
    drift = Drift(calibrated(0.0, 200))
    list(drift.feed(pumps, values, samples(values).scores))
    worst = drift.worst()
    assert worst is not None
    assert (worst.asset, worst.name) == ("b", "s2")
    assert drift.alarmed() == ["b"]


def test_more_assets_than_there_is_room_for_are_counted_until_one_falls_silent() -> None:
    known = calibrated(0.0, 200)
    drift = Drift(known, max_assets=2)
    block = 200 // BLOCKS

    def feed(asset: str, count: int) -> None:
        list(drift.feed([asset] * count, np.zeros((count, WIDTH), np.float32), np.zeros(count)))

    for asset in ("a", "b", "c"):
        feed(asset, 5)
    assert (len(drift), drift.unwatched) == (2, 5)
    for _ in range(2 * block):
        feed("b", 1)
    feed("c", 5)
    assert [asset for asset, _ in drift.states()] == ["b", "c"]
    assert drift.unwatched == 5


def test_histograms_of_very_many_assets_stay_bounded() -> None:
    drift = Drift(calibrated(0.0, 200))
    names = [f"a{index}" for index in range(5000)]
    list(drift.feed(names, np.zeros((5000, WIDTH), np.float32), np.zeros(5000)))
    assert MAX_BYTES / 2 < sum(len(state) for _, state in drift.states()) < MAX_BYTES * 1.1
    assert drift.unwatched == 5000 - len(drift)
