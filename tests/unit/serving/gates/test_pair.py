"""Two models of any task are compared by what their task is about."""

from math import log

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle.manifest import Manifest, Metrics, Output
from models.bundle.reference import Condition, Document, Histogram, Quantity
from models.errors import IncompatibleBundleError
from serving.gates.answers import Answers
from serving.gates.evidence import Limits
from serving.gates.pair import Pair
from serving.gates.profile import Profile
from serving.gates.votes import latency_votes, rank_votes
from tests.kit.bundles.factories import make_manifest

BLOCK_MS = 60_000
LIMITS = Limits(block_s=60)
SHARES = ("0", "0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99", "1")


def reference(*quantiles: float) -> Document:
    """A reference whose answers had these quantiles, nine of them."""
    score = Quantity(
        count=100,
        missing_share=0,
        quantiles=dict(zip(SHARES, quantiles, strict=True)),
        level=Histogram(edges=(), counts=(100,)),
        condition=Condition(counts=(100, 0, 0, 0)),
    )
    return Document(signals={}, score=score)


def regression(rmse: float | None = 2.0) -> Manifest:
    figures = {} if rmse is None else {"rmse": rmse}
    return make_manifest(
        task="regression",
        outputs=(Output(name="value", dtype="float32", meaning="NOx"),),
        metrics=Metrics(split="time", test_rows=10, values=figures),
    )


def classes(*names: str) -> Manifest:
    return make_manifest(
        task="classification",
        outputs=(Output(name="value", dtype="int64", meaning="state", classes=names),),
    )


def answered(profile: Profile, values: NDArray[np.float64]) -> Answers:
    return profile.answers({"value": values}, np.zeros(len(values), dtype=np.int8).tolist())


def compared(
    champion: Manifest,
    candidate: Manifest,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    known: Document | None = None,
) -> Pair:
    """Two models that answered one window in each block."""
    profiles = Profile.of(champion, known), Profile.of(candidate, known)
    pair = Pair(LIMITS, *profiles)
    at_ms = np.arange(len(first), dtype=np.int64) * BLOCK_MS
    pair.add(at_ms, answered(profiles[0], first), answered(profiles[1], second))
    return pair


def test_numbers_disagree_beyond_three_errors_of_the_champion() -> None:
    champion = np.full(4, 50.0)
    pair = compared(regression(), regression(9), champion, champion + np.array([0, 5.9, 6.1, -6.1]))
    assert (pair.evidence.blocks, pair.evidence.disagreeing) == (4, 2)
    assert list(pair.evidence.gates) == ["disagreement"]


def test_numbers_of_a_model_without_an_error_disagree_by_a_quarter_of_the_range() -> None:
    known = reference(*np.linspace(0, 40, 9))
    champion = np.full(2, 20.0)
    pair = compared(
        regression(None), regression(None), champion, champion + np.array([9.9, 10.1]), known
    )
    assert pair.evidence.disagreeing == 1
    unknown = compared(regression(None), regression(None), champion, champion * 1e6)
    assert unknown.evidence.disagreeing == 0


def test_number_that_is_lost_disagrees() -> None:
    first = np.array([1.0, np.nan, np.nan])
    second = np.array([np.nan, 1.0, np.nan])
    assert compared(regression(), regression(), first, second).evidence.disagreeing == 2


def test_classes_are_compared_by_name() -> None:
    first = np.array([0.0, 1.0, 2.0, 0.0])
    champion, candidate = classes("idle", "run", "jam"), classes("run", "idle", "wear")
    pair = compared(champion, candidate, first, np.array([1.0, 0.0, 2.0, 2.0]))
    assert (pair.evidence.blocks, pair.evidence.disagreeing) == (4, 2)
    assert "direction" not in pair.evidence.gates


def test_alarms_are_told_by_their_direction() -> None:
    two = classes("healthy", "failure")
    pair = compared(two, two, np.zeros(20), np.ones(20))
    assert pair.evidence.gates["direction"].hits == 20
    assert "direction" in pair.evidence.tripped
    assert "only the candidate had an alarm, in 0 only the champion" in pair.evidence.said


def test_models_of_different_tasks_are_not_compared() -> None:
    with pytest.raises(IncompatibleBundleError, match=r"classification .* regression.* stream of"):
        compared(regression(), classes("a", "b"), np.zeros(1), np.zeros(1))


def test_candidate_that_finds_all_windows_unusual_is_worse_by_rank() -> None:
    """It differs by less than the errors of the champion, so that no number is apart."""
    drawn = np.random.default_rng(0).normal(0, 1, 400)
    known = reference(-3.5, -2.33, -1.64, -0.67, 0, 0.67, 1.64, 2.33, 3.5)
    equal = compared(regression(), regression(), drawn, drawn[::-1].copy(), known)
    moved = compared(regression(), regression(), drawn, drawn + 1.0, known)
    assert equal.evidence.tripped == []
    assert moved.evidence.tripped == ["rank"]
    assert "more unusual than the champion does" in moved.evidence.said
    assert (
        compared(regression(), regression(), drawn, drawn, known).evidence.gates["rank"]
        == (equal.evidence.begun(LIMITS, further=["rank"]).gates["rank"])
    ), "identical models say nothing"


def test_candidate_that_knows_the_present_better_is_not_worse_by_rank() -> None:
    """The plant has moved since the champion was trained; the candidate was trained anew."""
    champion = np.random.default_rng(1).normal(2, 1, 400)
    old = reference(-3.5, -2.33, -1.64, -0.67, 0, 0.67, 1.64, 2.33, 3.5)
    new = reference(-1.5, -0.33, 0.36, 1.33, 2, 2.67, 3.64, 4.33, 5.5)
    profiles = Profile.of(regression(), old), Profile.of(regression(), new)
    pair = Pair(LIMITS, *profiles)
    at_ms = np.arange(400, dtype=np.int64) * BLOCK_MS
    pair.add(at_ms, answered(profiles[0], champion), answered(profiles[1], champion + 0.1))
    assert pair.evidence.gates["rank"].misses > 300
    assert pair.evidence.verdict == "no worse"


def detector(threshold: float) -> Manifest:
    return make_manifest(
        task="anomaly",
        outputs=(
            Output(name="value", dtype="int64", meaning="alarm", classes=("no", "yes")),
            Output(name="score", dtype="float32", meaning="score", threshold=threshold),
        ),
    )


def test_candidate_that_alarmed_more_often_in_training_is_doubted_before_it_answers() -> None:
    known = reference(0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 2)
    quiet, loud = Profile.of(detector(0.8), known), Profile.of(detector(0.7), known)
    assert Pair(LIMITS, quiet, quiet).doubt == ""
    assert Pair(LIMITS, quiet, loud).doubt == (
        "in training the candidate had an alarm in 5 % of the windows, the champion in 1 %: "
        "they will disagree in 4 % at least, limit 3 %"
    )
    assert Pair(LIMITS, quiet, Profile.of(detector(0.7), None)).doubt == ""


def test_slow_candidate_is_worse_by_latency() -> None:
    profile = Profile.of(regression(), None)
    assert profile.latency_ms == make_manifest().budget.latency_ms_p99
    pair = Pair(LIMITS, profile, profile, timed=True)
    batch = answered(profile, np.zeros(1))
    beyond = 2 * profile.latency_ms
    for block in range(60):
        took = (beyond / 3, beyond) if block % 3 == 0 else (beyond / 3, beyond / 3)
        pair.add(np.array([block * BLOCK_MS]), batch, batch, took)
    assert pair.evidence.gates["latency"].hits == 20
    assert pair.evidence.tripped == ["latency"]
    assert pair.evidence.said == "worse by latency: slow in 20 of 60 blocks, limit 10 %"


@pytest.mark.parametrize(
    ("champion_ms", "candidate_ms", "vote"),
    [
        pytest.param(1.0, 2.5, 1, id="slow"),
        pytest.param(1.0, 1.9, -1, id="within the budget"),
        pytest.param(2.0, 3.9, -1, id="busy gateway"),
    ],
)
def test_candidate_is_slow_beyond_its_budget_and_the_champion(
    champion_ms: float, candidate_ms: float, vote: int
) -> None:
    votes = latency_votes(champion_ms, candidate_ms, 3, times=2, allowed_ms=2)
    assert votes.tolist() == [vote] * 3


@pytest.mark.parametrize(
    ("upward", "votes"),
    [(True, [1, 0, -1, 1, -1]), (False, [1, 0, -1, -1, 1])],
    ids=["score", "number"],
)
def test_rank_is_unusual_upward_for_scores_and_on_both_sides_for_numbers(
    *, upward: bool, votes: list[int]
) -> None:
    champion = np.array([0.5, np.nan, 0.9, 0.1, 0.2])
    candidate = np.array([0.9, 0.9, 0.5, 0.8, 0.1])
    assert rank_votes(champion, candidate, upward=upward).tolist() == votes


def test_gates_share_alpha() -> None:
    """The more gates there are, the more evidence each of them needs."""
    profile = Profile.of(regression(), reference(*np.linspace(-2, 2, 9)))
    one, two = Pair(LIMITS, profile, profile), Pair(LIMITS, profile, profile, timed=True)
    needed = {}
    for name, pair in (("one", one), ("two", two)):
        gate = pair.evidence.further["rank"]
        while not pair.evidence.tripped:
            gate.hits += 1
        needed[name] = gate.log_e
    assert log(2 / 0.01) <= needed["one"] < log(3 / 0.01) + 1
    assert needed["two"] >= log(3 / 0.01)


def test_evidence_is_said_as_long_as_it_is_open() -> None:
    champion = np.zeros(60)
    candidate = np.where(np.arange(60) < 2, 10.0, 0.0)
    said = compared(regression(), regression(), champion, candidate).evidence.said
    needed = LIMITS.blocks_needed(2)
    assert needed is not None
    assert said == f"60 of {needed} blocks, 2 disagree, limit 3 %, needs {needed - 60} more"
    shown = compared(regression(), regression(), np.zeros(200), np.zeros(200)).evidence
    assert shown.said == "200 blocks, 0 disagree, limit 3 %: no worse"
