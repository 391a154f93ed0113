"""Whether a graph keeps the recipe's budget, measured before a bundle is written.

Memory is measured in a child process, as a gateway does it, because the peak of a process cannot be
told apart from what was before. Graphs of other tools are also loaded there first: one that crashes
onnxruntime, or never ends, must not take the command with it.
"""

import math
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.bundle import budget as contract
from models.errors import BundleError, MillhandError
from models.files import write_atomically
from serving.proof.request import Evidence, ProofRequest
from serving.proof.trial import examine
from trainer.bundle.reproducible import reproducible
from trainer.graph.export import Graph, Latency
from trainer.recipe.document import Budget

TRIAL_SECONDS: Final = 120.0
"""Seconds of one processor core that a graph may take in the child process."""
TRIAL_BYTES: Final = 8 << 30
"""Bytes of memory that a graph may take in the child process."""
_MARGIN: Final = 1.1  # the report, other machines, and what the kernel counts in batches
_MEGABYTE: Final = 10**6


@dataclass(frozen=True, slots=True)
class ServingCost:
    """What serving a graph costs, as measured on this machine.

    Attributes:
        latency: time for one window on one thread.
        memory_bytes: peak of the memory for loading the bundle and answering `budget.batch` windows
            at a time, with a margin, in whole megabytes.
    """

    latency: Latency
    memory_bytes: int


def within_budget(
    graph: Graph,
    content: bytes,
    windows: NDArray[np.float32],
    budget: Budget,
    refusal: type[MillhandError],
) -> ServingCost:
    """Measure time and memory, and check them and the size of the graph.

    Args:
        graph: the graph, loaded.
        content: the graph as bytes.
        windows: float32 `[n, length, channels]` that are answered.
        budget: the recipe's `[budget]`.
        refusal: class of the error if the budget is exceeded.

    Raises:
        MillhandError: a `refusal`: the graph is larger or slower, or takes more memory, than the
            budget allows.
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
    batch = windows[np.arange(budget.batch) % len(windows)]
    try:
        needed = try_graph(content, batch).memory_bytes
    except BundleError as exc:
        raise refusal(str(exc)) from exc
    memory_mb = math.ceil(_MARGIN * needed / _MEGABYTE)
    if budget.memory_mb is not None and memory_mb > budget.memory_mb:
        raise refusal(
            f"the model needs {memory_mb} MB of memory for {budget.batch} windows at a time, "
            f"budget.memory_mb is {budget.memory_mb:g}; lower budget.batch together with "
            "limits.max_batch of the gateways, or make the model smaller"
        )
    return ServingCost(latency, memory_mb * _MEGABYTE)


def try_graph(content: bytes, windows: NDArray[np.float32]) -> Evidence:
    """Load a graph in a child process, and have it answer windows.

    Args:
        content: the graph as bytes.
        windows: float32 `[n, length, channels]`, all answered at once.

    Raises:
        ProofError: the graph has crashed the child, or takes too much time or memory.
        BundleError: onnxruntime refuses the graph, or fails on the windows.
        ProofFailedError: the child cannot be started.
        OSError: there is no room for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="millhand-") as folder:
        path, shown = Path(folder) / "model.onnx", Path(folder) / "windows.npy"
        write_atomically(path, content)
        np.save(shown, windows)
        request = ProofRequest(
            path=path,
            windows=shown,
            batch=len(windows),
            seconds=TRIAL_SECONDS,
            memory_bytes=TRIAL_BYTES,
        )
        return examine(request, threading.Event())


def promised(budget: Budget, cost_bytes: int) -> contract.Budget:
    """The budget as the manifest states it.

    Times are stated as the recipe limits them, memory as it was measured, because a gateway has to
    make room for it. Where the bundle must be reproducible, the limit of the recipe stands for what
    was measured, and without one nothing is said.

    Args:
        budget: the recipe's `[budget]`.
        cost_bytes: peak of the memory, in bytes.
    """
    memory = cost_bytes
    if reproducible():
        memory = round((budget.memory_mb or 0) * _MEGABYTE)
    return contract.Budget(
        latency_ms_p99=budget.latency_ms,
        model_bytes=round(budget.model_mb * 1e6),
        memory_bytes=memory or None,
        memory_batch=budget.batch if memory else None,
    )
