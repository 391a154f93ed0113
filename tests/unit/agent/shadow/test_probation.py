"""A bundle that serves is slow where it takes longer than it may and than the one before."""

import pytest

from agent.config.shadow import Shadow
from agent.shadow.comparison import Comparison
from agent.shadow.probation import Probation
from serving.model import prove
from tests.kit.bundles.graphs import linear_bundle

BATCHES, ALLOWED_MS = 250, 4.0


@pytest.mark.parametrize(
    ("serving_ms", "former_ms", "code"),
    [
        pytest.param(10.0, 1.0, "slow", id="slower than it may be"),
        pytest.param(10.0, 9.0, None, id="both are slow"),
        pytest.param(3.0, 0.1, None, id="within its budget"),
    ],
)
def test_bundle_on_probation_is_slow_only_where_the_former_one_is_not(
    serving_ms: float, former_ms: float, code: str | None
) -> None:
    former, serving = (prove(linear_bundle("mass", seq, [1.0])) for seq in (1, 2))
    settings = Shadow()
    probation = Probation(Comparison(former, serving, settings.gates, settings, ALLOWED_MS))
    for _ in range(BATCHES):
        probation.took_champion(serving_ms)
        probation.took(former_ms)
    assert (probation.tripped or (None,))[0] == code
