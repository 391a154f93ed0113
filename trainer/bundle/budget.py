"""Whether a graph keeps the recipe's budget, measured before a bundle is written."""

import numpy as np
from numpy.typing import NDArray

from models.errors import MillhandError
from trainer.graph.export import Graph, Latency
from trainer.recipe.document import Budget


def within_budget(
    graph: Graph,
    content: bytes,
    windows: NDArray[np.float32],
    budget: Budget,
    refusal: type[MillhandError],
) -> Latency:
    """Measure the time for one window, and check it and the size of the graph.

    Args:
        graph: the graph, loaded.
        content: the graph as bytes.
        windows: float32 `[n, length, channels]` that are timed.
        budget: the recipe's `[budget]`.
        refusal: class of the error if the budget is exceeded.

    Raises:
        MillhandError: a `refusal`: the graph is larger or slower than the budget allows.
    """
    if len(content) > budget.model_mb * 1e6:
        raise refusal(
            f"the model has {len(content) / 1e6:.3g} MB, budget.model_mb is {budget.model_mb:g}"
        )
    latency = graph.latency(windows)
    if latency.p99_ms > budget.latency_ms:
        raise refusal(
            f"one window takes {latency.p99_ms:.2f} ms (p99, one thread), budget.latency_ms is "
            f"{budget.latency_ms:g}"
        )
    return latency
