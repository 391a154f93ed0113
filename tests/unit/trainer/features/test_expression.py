"""Derived signals: what a recipe may write, and that the graph computes what NumPy does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from sklearn.pipeline import Pipeline

from trainer.features.expression import Expression
from trainer.features.window_features import WindowFeatures
from trainer.graph.converters import convert

SIGNALS = ("torque", "speed")
HOSTILE = st.one_of(
    st.floats(-1e6, 1e6, width=32),
    st.sampled_from([0.0, -0.0, 1e-30, 3e38, -3e38, np.nan]),
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("torque * speed * 0.5", 12.0),
        ("-torque + speed / 2", -4.0),
        ("(speed - torque) ** 3", -8.0),
        ("max(torque, speed, 5)", 6.0),
        ("min(abs(-torque), 5)", 5.0),
        ("sqrt(speed) + log(exp(1))", 3.0),
    ],
)
def test_expression_is_what_it_says(text: str, wanted: float) -> None:
    value = Expression(text).evaluate({"torque": np.array(6.0), "speed": np.array(4.0)})
    assert float(value) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("__import__('os').system('true')", "__import__"),
        ("open(torque)", "'open'"),
        ("torque.real", "'torque.real'"),
        ("torque if speed else 1", "torque if speed"),
        ("torque ** speed", r"'\*\* speed'"),
        ("torque ** 99999", "1 to 4"),
        ("sqrt(torque, speed)", "'sqrt' .* 2"),
        ("torque * True", "True"),
        ("torque *", "torque"),
        ("3 * 4", "no signal"),
        ("+".join(["torque"] * 200), "200"),
    ],
)
def test_what_is_no_arithmetic_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Expression(text)


@pytest.fixture(scope="module")
def derived() -> tuple[WindowFeatures, InferenceSession]:
    features = WindowFeatures(
        kinds=("last", "mean", "std"),
        signals=SIGNALS,
        derived=(
            ("power", "torque * speed * 0.10472"),
            ("ratio", "torque / speed"),
            ("odd", "sqrt(power) - log(abs(ratio)) + max(torque, speed, 1) ** 2"),
        ),
    )
    windows = np.random.default_rng(0).normal(50, 10, size=(40, 3, 2)).astype(np.float32)
    features.fit(windows)
    proto = convert(Pipeline([("features", features)]), "x", (3, 2), "features")
    return features, InferenceSession(proto.SerializeToString())


@given(windows=arrays(np.float32, (2, 3, 2), elements=HOSTILE))
@settings(max_examples=100)
def test_derived_signal_in_the_graph_is_that_of_numpy(
    derived: tuple[WindowFeatures, InferenceSession], windows: NDArray[np.float32]
) -> None:
    features, graph = derived
    (given_,) = graph.run(None, {"x": windows})
    assert np.isfinite(given_).all()
    np.testing.assert_allclose(given_, features.transform(windows), rtol=2e-6, atol=1e-6)


def test_derived_signal_has_its_own_features_and_names(
    derived: tuple[WindowFeatures, InferenceSession],
) -> None:
    features, _ = derived
    window = np.array([[[2, 4], [2, 4], [3, 5]]], dtype=np.float32)
    found = dict(zip(features.names(SIGNALS), features.transform(window)[0], strict=True))
    assert found["power last"] == pytest.approx(15 * 0.10472)
    assert found["ratio mean 3"] == pytest.approx((0.5 + 0.5 + 0.6) / 3)


def test_what_cannot_be_computed_is_missing(
    derived: tuple[WindowFeatures, InferenceSession],
) -> None:
    features, _ = derived
    standing = np.array([[[2, 0], [2, 0], [2, 0]]], dtype=np.float32)
    found = dict(zip(features.names(SIGNALS), features.transform(standing)[0], strict=True))
    assert found["ratio last"] == pytest.approx(features.medians_[3])
