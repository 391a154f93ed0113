"""Whether a candidate is worse, or no worse, is decided by blocks, and may be looked at often."""

from math import comb, exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from benchmarks.made_up.gates import CANDIDATES, Plant, block_of, judged, plant, storm_at
from serving.gates.comparing import Comparing
from serving.gates.e_values import log_above, log_below, log_unequal, trials_to_show
from serving.gates.evidence import Acceptable, Evidence, Limits
from serving.gates.gate import Gate
from serving.gates.storm import Storm, StormLimits

COUNT = 12
MINUTE = 60_000
Alarms = NDArray[np.bool_]


def expected(log_e: list[float], p: float) -> float:
    """Mean of an e-value over the outcomes of `COUNT` trials; a hit has the probability `p`."""
    return sum(
        comb(COUNT, hits) * p**hits * (1 - p) ** (COUNT - hits) * exp(log_e[hits])
        for hits in range(COUNT + 1)
    )


@pytest.mark.parametrize("limit", [0.001, 0.03, 0.2, 0.6])
def test_bet_on_a_true_hypothesis_gains_nothing_on_average(limit: float) -> None:
    """Otherwise a false stop would be more frequent than alpha says (Ville's inequality)."""
    unequal = [log_unequal(hits, COUNT - hits) for hits in range(COUNT + 1)]
    above = [log_above(hits, COUNT - hits, limit) for hits in range(COUNT + 1)]
    below = [log_below(hits, COUNT - hits, limit) for hits in range(COUNT + 1)]
    assert expected(unequal, 0.5) == pytest.approx(1)
    assert expected(above, limit) == pytest.approx(1)
    assert expected(above, limit / 2) < 1
    assert expected(below, limit) == pytest.approx(1)
    assert expected(below, (1 + limit) / 2) < 1


def test_bet_on_a_false_hypothesis_gains() -> None:
    assert log_unequal(30, 3) > log(1000)
    assert log_unequal(30, 3) == pytest.approx(log_unequal(3, 30))
    assert log_above(12, 88, 0.03) > log(100)
    assert log_below(0, 300, 0.03) > log(100)
    assert log_below(300, 0, 0.03) < 0
    assert log_above(300, 0, 0.9995) == 0, "no rate is shown to be above nearly all"


@pytest.mark.parametrize("hits", [0, 1, 5])
def test_trials_to_show_a_low_rate_are_the_fewest_that_suffice(hits: int) -> None:
    found = trials_to_show(hits, 0.05, 0.01, 10_000)
    assert found is not None
    assert log_below(hits, found - hits, 0.05) >= log(100)
    assert log_below(hits, found - 1 - hits, 0.05) < log(100)
    assert trials_to_show(hits, 0.05, 0.01, found - 1) is None


def answers(*, agree: int, candidate: int = 0, champion: int = 0) -> tuple[Alarms, Alarms]:
    """Alarms of champion and candidate: so many rows on which they agree, and so on."""
    of_champion = [False] * (agree + candidate) + [True] * champion
    of_candidate = [False] * agree + [True] * candidate + [False] * champion
    return np.array(of_champion), np.array(of_candidate)


def test_block_counts_once_however_many_rows_it_has() -> None:
    comparing = Comparing(Limits(block_s=60))
    comparing.add(np.arange(300) * 100, *answers(agree=100, candidate=150, champion=50))
    found = comparing.evidence
    assert (found.blocks, found.disagreeing) == (1, 0)
    assert (found.only_candidate, found.only_champion) == (1, 0)


def test_block_disagrees_by_its_first_row_and_not_by_its_worst() -> None:
    comparing = Comparing(Limits(block_s=60))
    comparing.add(np.array([0, MINUTE, MINUTE + 1]), *answers(agree=1, champion=2))
    found = comparing.evidence
    assert (found.blocks, found.disagreeing, found.only_champion) == (2, 1, 1)


def test_rows_of_a_block_that_is_over_are_ignored() -> None:
    comparing = Comparing(Limits(block_s=60))
    comparing.add(np.array([5 * MINUTE, 0, MINUTE]), *answers(agree=1, candidate=2))
    comparing.add(np.array([2 * MINUTE]), *answers(agree=0, candidate=1))
    found = comparing.evidence
    assert (found.blocks, found.only_candidate) == (1, 0)
    comparing.add(np.array([5 * MINUTE + 1]), *answers(agree=0, candidate=1))
    assert (found.blocks, found.only_candidate) == (1, 1)


def test_further_gate_counts_the_first_vote_of_a_block() -> None:
    comparing = Comparing(Limits(block_s=60), further=["rank"])
    quiet, votes = np.zeros(4, dtype=bool), np.array([0, 1, -1, -1], dtype=np.int8)
    for at in (0, 4):
        at_ms = np.arange(at, at + 4) * 10_000
        comparing.add(at_ms, quiet, quiet, {"rank": votes})
    rank = comparing.evidence.gates["rank"]
    assert (rank.hits, rank.misses) == (1, 1)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.booleans()), max_size=60),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_evidence_does_not_depend_on_the_batches(
    rows: list[tuple[int, bool, bool]], cuts: list[int]
) -> None:
    at_ms = np.array([one[0] * 10_000 for one in rows], dtype=np.int64)
    champion, candidate = (np.array([one[k] for one in rows], dtype=bool) for k in (1, 2))
    whole, parts = Comparing(Limits(block_s=60)), Comparing(Limits(block_s=60))
    whole.add(at_ms, champion, candidate)
    ends = sorted(cuts)
    for begin, end in zip([0, *ends], [*ends, len(rows)], strict=True):
        parts.add(at_ms[begin:end], champion[begin:end], candidate[begin:end])
    assert whole.evidence == parts.evidence


def test_candidate_is_open_until_enough_blocks_are_seen() -> None:
    needed = Limits().blocks_needed()
    assert needed == 183
    assert Evidence(blocks=needed - 1).verdict == "open"
    assert Evidence(blocks=needed).verdict == "no worse"
    assert Evidence(blocks=41).said == "41 of 183 blocks, 0 disagree, limit 3 %, needs 142 more"


def test_candidate_without_a_block_is_neither_good_nor_bad() -> None:
    assert Evidence().verdict == "open"


def test_gate_that_trips_is_named() -> None:
    assert Evidence(blocks=60, disagreeing=15).tripped == ["disagreement"]
    assert Evidence(blocks=60, disagreeing=15).verdict == "worse"


@pytest.mark.parametrize(("more", "fewer"), [(20, 0), (0, 20)], ids=["more alarms", "fewer alarms"])
def test_alarms_on_one_side_are_a_difference_that_can_be_accepted(more: int, fewer: int) -> None:
    def found(disagreeing: int = 0, **limits: tuple[Acceptable, ...]) -> Evidence:
        return Evidence(Limits(**limits), 183, disagreeing, more, fewer)

    assert (found().tripped, found().verdict) == (["direction"], "different")
    assert found().said.startswith("different by direction: in ")
    assert (found(40).tripped, found(40).verdict) == (["disagreement", "direction"], "worse")
    assert found(accept=("direction",)).verdict == "no worse"
    assert found(40, accept=("direction",)).verdict == "worse"


def test_ranks_of_a_candidate_that_has_learned_a_change_can_be_accepted() -> None:
    """The former bundle finds the present unusually quiet, since the plant has changed."""

    def found(*accept: Acceptable) -> Evidence:
        return Evidence(Limits(accept=accept), 183, further={"rank": Gate("rate", 0.5, 30, 0)})

    assert (found().tripped, found().verdict) == (["rank"], "worse")
    assert found("direction").tripped == ["rank"]
    assert found("rank").verdict == "no worse"


@pytest.mark.parametrize(
    ("candidate", "ends"),
    [
        ("equal", {"no worse", "open"}),
        ("x 9", {"direction", "storm"}),
        ("moved", {"rank", "storm"}),
    ],
    ids=["harmless", "alarming", "moved"],
)
def test_plant_that_remembers_decides_nothing_by_chance(candidate: str, ends: set[str]) -> None:
    """At a coefficient of 0.99 a test row by row stops two of three harmless candidates."""
    (one,) = [one for one in CANDIDATES if one.name == candidate]
    for seed in range(10):
        end, _ = judged(plant(one, 0.99, 6 * 3600, seed), block_of(0.99))
        assert end in ends


def test_storm_is_half_of_the_last_windows_while_the_champion_is_quiet() -> None:
    storm = Storm(StormLimits(windows=60))
    told = [storm.add(champion=False, candidate=at >= 30) for at in range(61)]
    assert told.index(True) == 59
    loud = Storm(StormLimits(windows=60))
    assert not any(loud.add(champion=at < 4, candidate=True) for at in range(60))
    assert loud.add(champion=False, candidate=True)


def test_benchmark_finds_a_storm_where_the_gate_does() -> None:
    (moved,) = [one for one in CANDIDATES if one.name == "moved"]
    limits = StormLimits(windows=100, candidate=0.3)
    for seed in range(5):
        answers = plant(moved, 0.99, 3600, seed)
        storm = Storm(limits)
        pairs = zip(answers.champion.tolist(), answers.candidate.tolist(), strict=True)
        told = [storm.add(champion=first, candidate=second) for first, second in pairs]
        assert storm_at(answers, limits) == (told.index(True) if True in told else None)
    quiet = Plant(np.zeros(200, bool), np.zeros(200, bool), np.zeros(200, np.int8))
    assert storm_at(quiet, limits) is None


@pytest.mark.parametrize(
    "key", ["block_s", "disagreement", "alpha", "beta"], ids=["block", "share", "alpha", "beta"]
)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")], ids=str)
def test_limit_that_cannot_be_meant_is_refused(key: str, value: float) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({key: value})
