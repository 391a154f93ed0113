"""The child process of a proof: it limits itself, loads the graph, answers windows, and measures.

`serving.proof.trial` starts it and explains its end; `serving.proof.request` documents what it
reads and writes. It exits with 0 if it has written an answer, be it a refusal. A graph may end it
by a signal at any moment, which is what it is for. It ends by itself a little after its time, even
if the process that started it has died.
"""

import json
import math
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.bundle.budget import Budget
from models.bundle.golden import read_golden
from models.bundle.package import load_bundle
from models.bundle.reference import read_reference
from models.errors import BundleError, IncompatibleBundleError, MillhandError
from serving.errors import InferenceError
from serving.proof.confinement import confine, memory_of
from serving.proof.measurement import time_batch, time_single
from serving.proof.refusals import MemoryLimitError
from serving.proof.request import MAX_REQUEST_BYTES, Evidence, ProofRequest
from serving.proof.wording import OUT_OF_MEMORY, REMEDY, megabytes
from serving.runtime.graph import RUNTIME, load_graph, run_graph
from serving.session import Session

_EXIT_GRACE_S: Final = 5  # seconds after the deadline, by which the parent has killed it as a rule
_SINGLE_SHARE, _BATCH_SHARE = 1 / 16, 1 / 4  # of the time of the proof, for measuring


class _Progress:
    """Tells the parent which stage begins, and keeps what a refusal should say.

    Attributes:
        stage: what is done now, in words.
        base_bytes: memory of this process before the first stage.
        peak_bytes: peak of the memory before this stage, without `base_bytes`.
    """

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # a library that prints must not be taken for an answer
        self.stage = "starting"
        self.base_bytes = memory_of("VmRSS")
        self.peak_bytes = 0

    def begin(self, stage: str) -> None:
        """Say that a stage begins."""
        self.stage, self.peak_bytes = stage, self.measure()
        self.send({"state": "begun", "stage": stage})

    def measure(self) -> int:
        """Peak of the memory so far, in bytes, without what the program itself takes."""
        return max(0, memory_of("VmHWM") - self.base_bytes)

    def send(self, message: dict[str, object]) -> None:
        """Write a message to the parent."""
        self._answers.write(f"{json.dumps(message)}\n")
        self._answers.flush()


def main() -> None:
    """Read the request from standard input and answer it on what was standard output."""
    progress = _Progress()
    request = ProofRequest.from_json(sys.stdin.buffer.read(MAX_REQUEST_BYTES))
    signal.alarm(math.ceil(request.clock_s) + _EXIT_GRACE_S)
    try:
        confine(request.seconds, request.memory_bytes)
        prove = _prove_bundle if request.windows is None else _try_graph
        answer = {"state": "passed", **prove(request, progress).to_fields()}
    except MemoryError:
        answer = _refusal(_out_of_memory(request, progress))
    except MillhandError as exc:
        is_memory = isinstance(exc, BundleError) and any(sign in str(exc) for sign in OUT_OF_MEMORY)
        answer = _refusal(_out_of_memory(request, progress) if is_memory else exc)
    progress.send(answer)


def _prove_bundle(request: ProofRequest, progress: _Progress) -> Evidence:
    progress.begin("reading the bundle")
    bundle = load_bundle(request.path)
    budget = bundle.manifest.budget
    _check_promise(budget, request)
    progress.begin("loading the graph")
    session = Session(bundle)
    read_reference(bundle.reference, bundle.manifest.channels)
    windows = read_golden(bundle.golden, bundle.manifest).windows
    progress.begin("answering one window")
    single = time_single(_checked(session.run), windows, request.seconds * _SINGLE_SHARE)
    progress.begin(f"answering its {len(windows)} golden windows, {single.p50_ms:.3g} ms each,")
    error = session.replay_golden(bundle.golden)
    batch, times = time_batch(
        _checked(session.run),
        windows,
        request.batch,
        request.seconds * _BATCH_SHARE,
        progress.begin,
    )
    return Evidence(
        golden_error=error,
        latency_p50_ms=single.p50_ms,
        latency_p99_ms=single.p99_ms,
        latency_limit_ms=_latency_limit(budget, request),
        batch=batch,
        batch_p50_ms=times.p50_ms,
        batch_p99_ms=times.p99_ms,
        memory_bytes=progress.measure(),
        runtime=RUNTIME,
    )


def _try_graph(request: ProofRequest, progress: _Progress) -> Evidence:
    """Load a bare graph, which has no golden answers, and have it answer all windows."""
    assert request.windows is not None  # noqa: S101  the caller's condition
    progress.begin("loading the graph")
    session = load_graph(request.path.read_bytes())
    run = partial(run_graph, session, [output.name for output in session.get_outputs()])
    windows: NDArray[np.float32] = np.load(request.windows, allow_pickle=False)
    progress.begin("answering one window")
    single = time_single(_checked(run), windows, request.seconds * _SINGLE_SHARE)
    progress.begin(f"answering {len(windows)} windows at a time")
    _checked(run)(windows)
    return Evidence(
        golden_error=0.0,
        latency_p50_ms=single.p50_ms,
        latency_p99_ms=single.p99_ms,
        latency_limit_ms=math.inf,
        batch=len(windows),
        batch_p50_ms=0.0,
        batch_p99_ms=0.0,
        memory_bytes=progress.measure(),
        runtime=RUNTIME,
    )


def _check_promise(budget: Budget, request: ProofRequest) -> None:
    """Refuse a bundle that needs too much memory by its own account, before it is loaded."""
    if budget.memory_bytes is None or budget.memory_batch is None:
        return
    # A smaller batch needs less memory, but not less than its share.
    share = min(1.0, request.batch / budget.memory_batch)
    if budget.memory_bytes * share > request.memory_bytes:
        raise MemoryLimitError(
            f"the model needs {megabytes(budget.memory_bytes)} for {budget.memory_batch} windows "
            f"at a time (budget of its manifest), for {request.batch} at least "
            f"{megabytes(budget.memory_bytes * share)}; allowed are "
            f"{megabytes(request.memory_bytes)}: {REMEDY}"
        )


def _latency_limit(budget: Budget, request: ProofRequest) -> float:
    """Milliseconds for one window: the smaller of both limits; a budget of 0 promises nothing."""
    promised = budget.latency_ms_p99 * request.latency_factor or math.inf
    return min(promised, math.inf if request.latency_ms is None else request.latency_ms)


def _checked(run: Callable[[NDArray[np.float32]], object]) -> Callable[..., object]:
    """The same, for a graph that is not to be served where it fails."""

    def run_or_refuse(windows: NDArray[np.float32]) -> object:
        try:
            return run(windows)
        except InferenceError as exc:
            raise IncompatibleBundleError(
                f"the graph fails on {len(windows)} of its own windows: {exc}"
            ) from exc

    return run_or_refuse


def _out_of_memory(request: ProofRequest, progress: _Progress) -> MemoryLimitError:
    before = f", where all before had taken {megabytes(progress.peak_bytes)}"
    return MemoryLimitError(
        f"{progress.stage} needs more memory than the {megabytes(request.memory_bytes)} that are "
        f"allowed beside the program{before if progress.peak_bytes else ''}: {REMEDY}"
    )


def _refusal(error: MillhandError) -> dict[str, object]:
    return {"state": "refused", "error": error.code, "message": str(error)}


if __name__ == "__main__":
    main()
