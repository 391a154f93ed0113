"""What the bundles that are bad do before they are: they load, and pass their golden vectors."""

import numpy as np
import pytest

from models.errors import BundleError
from serving.session import Session
from tests.kit.gateway.evil import AT_GOLDEN, LIVE, evil_bundle


@pytest.mark.parametrize("kind", LIVE)
def test_bundle_that_fails_at_work_passes_its_golden_vectors(kind: str) -> None:
    bundle = evil_bundle(kind, "mass", 2)
    session = Session(bundle)
    assert session.replay_golden(bundle.golden) == 0.0
    readings = np.array([1.0, 69.0, -50.0], np.float32)
    assert session.run(readings.reshape(-1, 1, 1))["value"].tolist() == readings.tolist()


@pytest.mark.parametrize("kind", ["wrong answer", "NaN", "wrong shape", "no batch axis"])
def test_bundle_with_wrong_answers_loads(kind: str) -> None:
    assert kind in AT_GOLDEN
    bundle = evil_bundle(kind, "mass", 2)
    session = Session(bundle)
    with pytest.raises(BundleError):
        session.replay_golden(bundle.golden)


def test_seed_counts_to_a_thousand() -> None:
    session = Session(evil_bundle("crash at run 1000", "mass", 2))
    window = np.zeros((1, 1, 1), np.float32)
    assert all(session.run(window)["value"] == 0.0 for _ in range(999))
