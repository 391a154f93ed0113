"""Contributions of signals, on models whose contributions are known by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle.explain import Explain
from serving.explanation.explainer import BLOCK_VALUES, Explainer
from serving.explanation.mixtures import mixtures

Values = NDArray[np.float64]
WEIGHTS = np.array([2.0, -1.0, 0.5, 0.0])
RELATED = np.array(
    [[2.0, 0.5, 0.0, 0.1], [0.5, 1.0, 0.3, 0.0], [0.0, 0.3, 3.0, 0.2], [0.1, 0.0, 0.2, 1.0]]
)
REFERENCE = np.array([[1.0, 2.0, 3.0, 4.0], [1.5, 2.5, 3.5, 4.5]], np.float32)
WINDOW = np.array([[3.0, 1.0, 3.0, 9.0], [2.0, 0.0, 4.0, 8.0]], np.float32)


def linear(windows: NDArray[np.float32]) -> Values:
    """A weighted sum of the signals' means; a missing value counts as the reference."""
    filled = np.where(np.isnan(windows), REFERENCE, windows)
    return np.asarray(filled.mean(axis=1) @ WEIGHTS)


def distance(windows: NDArray[np.float32]) -> Values:
    """A squared distance from the reference, in which signals act two by two."""
    z = (windows - REFERENCE).mean(axis=1)
    return np.asarray(((z @ RELATED) * z).sum(axis=1))


def three_together(windows: NDArray[np.float32]) -> Values:
    """A product of three signals, and one more."""
    a, b, c, d = windows.mean(axis=1).T
    return np.asarray(a * b * c + d)


NAMES = ("c0", "c1", "c2", "c3")


def explain_of(method: str = "shapley", orders: int = 2) -> Explain:
    return Explain.model_validate(
        {"when": "alarm", "method": method, "orders": orders, "reference": 0, "output": "value"}
    )


def explainer_of(
    method: str = "shapley", orders: int = 2, reference: NDArray[np.float32] = REFERENCE
) -> Explainer:
    return Explainer(explain_of(method, orders), NAMES[: reference.shape[1]], reference)


def contributions(
    explainer: Explainer,
    model: Callable[[NDArray[np.float32]], Values],
    window: NDArray[np.float32],
) -> Values:
    answers = np.concatenate([model(block) for block in explainer.blocks(window)])
    return explainer.contributions(window, answers)


@pytest.mark.parametrize("model", [linear, distance, three_together])
@pytest.mark.parametrize("orders", [2, 4, 8])
def test_contributions_add_up_to_the_difference_from_the_reference(
    model: Callable[[NDArray[np.float32]], Values], orders: int
) -> None:
    found = contributions(explainer_of(orders=orders), model, WINDOW)
    wanted = model(WINDOW[np.newaxis])[0] - model(REFERENCE[np.newaxis])[0]
    assert found.sum() == pytest.approx(wanted)


@pytest.mark.parametrize("method", ["shapley", "occlusion"])
def test_a_linear_model_is_explained_exactly_by_either_method(method: str) -> None:
    orders = 2 if method == "shapley" else 0
    found = contributions(explainer_of(method, orders), linear, WINDOW)
    assert found == pytest.approx(WEIGHTS * (WINDOW - REFERENCE).mean(axis=0))


def test_one_pair_of_orders_is_exact_where_signals_act_two_by_two() -> None:
    found = contributions(explainer_of(), distance, WINDOW)
    z = (WINDOW - REFERENCE).mean(axis=0)
    assert found == pytest.approx(z * (RELATED @ z))


def test_all_orders_of_three_signals_need_no_more_than_their_eight_mixtures() -> None:
    explain = Explain(when="alarm", method="shapley", orders=8, reference=0, output="value")
    assert len(mixtures(explain, 3)) == 8
    assert len(mixtures(explain, 1)) == 2


@pytest.mark.parametrize("orders", [0, 2, 8])
def test_a_model_answers_no_more_windows_than_the_count_says(orders: int) -> None:
    method = "shapley" if orders else "occlusion"
    explainer = explainer_of(method, orders)
    assert explainer.windows <= explainer.explain.count(4)
    assert sum(map(len, explainer.blocks(WINDOW))) == explainer.windows


def test_a_missing_signal_has_no_share_and_comes_last() -> None:
    window = WINDOW.copy()
    window[:, 0] = np.nan
    window[-1, 1] = np.nan
    explainer = explainer_of()
    answers = np.concatenate([linear(block) for block in explainer.blocks(window)])
    assert np.isnan(explainer.contributions(window, answers)[0])
    assert explainer.reasons(window, answers) == [
        {"signal": "c1", "value": None, "share": 0.8},
        {"signal": "c2", "value": 4.0, "share": 0.2},
        {"signal": "c3", "value": 8.0, "share": 0.0},
    ]
    narrow = explainer_of(reference=REFERENCE[:, :2])
    found = narrow.reasons(window[:, :2], np.zeros(narrow.windows))
    assert found is not None
    assert found[-1] == {"signal": "c0", "value": None, "share": None}


def test_reasons_are_three_with_value_and_signed_share() -> None:
    explainer = explainer_of()
    answers = np.concatenate([linear(block) for block in explainer.blocks(WINDOW)])
    assert explainer.reasons(WINDOW, answers) == [
        {"signal": "c0", "value": 2.0, "share": 0.571},
        {"signal": "c1", "value": 0.0, "share": 0.4},
        {"signal": "c2", "value": 4.0, "share": 0.029},
    ]


def test_reasons_have_values_as_the_plant_sent_them() -> None:
    level = 1_716_903_000.0
    explainer = Explainer(explain_of(), ("meter", "load"), REFERENCE[:, :2], (level, 0.0))
    window = REFERENCE[:, :2] + np.array([2.5, 0.125], dtype=np.float32)
    answers = np.concatenate([block.sum(axis=(1, 2)) for block in explainer.blocks(window)])
    reasons = explainer.reasons(window, answers.astype(np.float64))
    assert reasons is not None
    last = window[-1].tolist()
    assert {str(one["signal"]): one["value"] for one in reasons} == pytest.approx(
        {"meter": last[0] + level, "load": last[1]}, rel=1e-12
    )


def test_a_signal_that_speaks_against_the_answer_has_a_negative_share() -> None:
    window = REFERENCE.copy()
    window[:, 1] += 3.0
    explainer = explainer_of()
    answers = np.concatenate([linear(block) for block in explainer.blocks(window)])
    found = explainer.reasons(window, answers)
    assert found is not None
    assert (found[0]["signal"], found[0]["share"]) == ("c1", -1.0)


def test_answers_that_are_no_numbers_give_no_reasons() -> None:
    explainer = explainer_of()
    answers = np.full(explainer.windows, np.nan)
    assert explainer.reasons(WINDOW, answers) is None


def test_of_probabilities_the_one_of_the_answered_class_is_explained() -> None:
    explain = Explain(when="always", method="occlusion", reference=0, output="probabilities")
    explainer = Explainer(explain, NAMES, REFERENCE)
    shares = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]], np.float32)
    assert explainer.explained({"probabilities": shares}, 2) == pytest.approx([0.7, 0.2])


def test_large_windows_are_mixed_in_blocks_that_stay_small() -> None:
    reference = np.zeros((BLOCK_VALUES // 8, 4), np.float32)
    explainer = explainer_of(orders=8, reference=reference)
    sizes = [block.size for block in explainer.blocks(reference)]
    assert max(sizes) <= BLOCK_VALUES
    assert sum(sizes) == explainer.windows * reference.size
