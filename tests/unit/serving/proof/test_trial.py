"""A bundle is loaded, answered and measured in a child process, which alone may end."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from models.bundle.budget import Budget
from models.errors import BundleError, MillhandError
from serving.proof.refusals import ProofCancelledError, ProofFailedError
from serving.proof.request import ProofRequest
from serving.proof.trial import examine
from tests.kit.bundles.factories import make_bundle
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.evil import LIVE, evil_bundle
from tests.kit.waiting import eventually

MB = 10**6


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


@pytest.fixture
def request_of(tmp_path: Path) -> ProofRequest:
    return ProofRequest(
        path=tmp_path / "bundle.zip", batch=256, seconds=10.0, memory_bytes=256 * MB
    )


def refusal(request: ProofRequest) -> MillhandError:
    with pytest.raises(MillhandError) as caught:
        examine(request, threading.Event())
    return caught.value


def test_honest_bundle_is_measured(request_of: ProofRequest) -> None:
    request_of.path.write_bytes(linear_bundle("mass", 1, [1.0, 10.0]).content)
    evidence = examine(request_of, threading.Event())
    assert evidence.golden_error < 1e-3
    assert 0 < evidence.latency_p50_ms <= evidence.latency_p99_ms
    assert 0 < evidence.batch_p50_ms <= evidence.batch_p99_ms
    assert evidence.batch == 256
    assert 1 * MB < evidence.memory_bytes < 100 * MB
    assert evidence.latency_limit_ms == 1.0, "that of the bundle's budget"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("crash at load", "proof_crashed"),
        ("memory at load", "proof_memory"),
        ("large", "proof_memory"),
        ("memory at golden", "proof_memory"),
        ("wrong answer", "golden_mismatch"),
        ("NaN", "golden_mismatch"),
        ("wrong shape", "golden_mismatch"),
        ("no batch axis", "incompatible"),
        ("hungry", "proof_memory"),
    ],
)
def test_bad_bundle_is_refused_with_a_code_of_its_own(
    request_of: ProofRequest, kind: str, code: str
) -> None:
    request_of.path.write_bytes(evil_bundle(kind, "mass", 2).content)
    error = refusal(request_of)
    assert error.code == code
    assert isinstance(error, BundleError)


@pytest.mark.parametrize("kind", ["doubling functions", "endless at load", "endless at golden"])
def test_bundle_that_never_ends_is_ended(request_of: ProofRequest, kind: str) -> None:
    request_of.path.write_bytes(evil_bundle(kind, "mass", 2).content)
    error = refusal(replace(request_of, seconds=1.0))
    assert error.code in {"proof_cpu_time", "proof_timeout"}, "the latter where others work too"
    assert isinstance(error, BundleError)


@pytest.mark.parametrize("kind", LIVE)
def test_bundle_that_fails_only_at_work_passes(request_of: ProofRequest, kind: str) -> None:
    request_of.path.write_bytes(evil_bundle(kind, "mass", 2).content)
    assert examine(request_of, threading.Event()).batch == 256


def test_memory_decides_by_the_size_of_the_batch(request_of: ProofRequest) -> None:
    request_of.path.write_bytes(evil_bundle("hungry", "mass", 2).content)
    error = refusal(request_of)
    assert "256 windows" in str(error)
    assert "256 MB" in str(error)
    fewer = examine(replace(request_of, batch=64), threading.Event())
    assert (fewer.batch, fewer.memory_bytes < 256 * MB) == (64, True)
    more = examine(replace(request_of, memory_bytes=600 * MB), threading.Event())
    assert more.memory_bytes > 300 * MB


def test_bundle_that_says_it_needs_too_much_is_not_loaded(request_of: ProofRequest) -> None:
    budget = Budget(latency_ms_p99=1.0, model_bytes=1, memory_bytes=352 * MB, memory_batch=256)
    bundle = evil_bundle("crash at load", "mass", 2, budget=budget)
    request_of.path.write_bytes(bundle.content)
    error = refusal(request_of)
    assert error.code == "proof_memory"
    for figure in ("352 MB", "256 MB", "proof.memory_bytes", "limits.max_batch"):
        assert figure in str(error)
    assert refusal(replace(request_of, batch=64)).code == "proof_crashed", "88 MB may be enough"


def test_slow_model_is_tried_with_smaller_batches_only(request_of: ProofRequest) -> None:
    request_of.path.write_bytes(evil_bundle("slow", "mass", 2).content)
    evidence = examine(replace(request_of, seconds=10.0), threading.Event())
    assert evidence.latency_p99_ms > 10
    assert 1 <= evidence.batch < 256


def test_latency_is_limited_by_the_budget_and_by_a_setting(request_of: ProofRequest) -> None:
    request_of.path.write_bytes(linear_bundle("mass", 1, [1.0]).content)
    limits = {
        examine(
            replace(request_of, latency_factor=4.0, latency_ms=setting), threading.Event()
        ).latency_limit_ms
        for setting in (None, 9.0, 2.0)
    }
    assert limits == {4.0, 2.0}


def test_graph_that_is_no_bundle_answers_windows(request_of: ProofRequest) -> None:
    windows = request_of.path.with_name("windows.npy")
    np.save(windows, np.zeros((7, 1, 2), np.float32))
    request_of.path.write_bytes(linear_bundle("mass", 1, [1.0, 10.0]).model)
    assert examine(replace(request_of, windows=windows), threading.Event()).batch == 7
    request_of.path.write_bytes(evil_bundle("crash at load", "mass", 2).model)
    assert refusal(replace(request_of, windows=windows)).code == "proof_crashed"


def test_damaged_bundle_is_refused_as_such(request_of: ProofRequest) -> None:
    request_of.path.write_bytes(b"PK")
    assert refusal(request_of).code == "bundle_invalid"
    request_of.path.write_bytes(make_bundle().content)
    assert refusal(request_of).code == "incompatible", "its model is no graph"


def test_bundle_that_is_gone_says_nothing_of_the_model(request_of: ProofRequest) -> None:
    error = refusal(request_of)
    assert isinstance(error, ProofFailedError)
    assert "FileNotFoundError" in str(error)


def test_proof_can_be_cancelled(request_of: ProofRequest) -> None:
    request_of.path.write_bytes(evil_bundle("endless at golden", "mass", 2).content)
    cancelled, errors = threading.Event(), []

    def prove() -> None:
        try:
            examine(replace(request_of, seconds=100.0), cancelled)
        except MillhandError as exc:
            errors.append(exc)

    before = children()
    thread = threading.Thread(target=prove)
    thread.start()
    eventually(lambda: children() - before)
    cancelled.set()
    thread.join(20)
    assert [type(error) for error in errors] == [ProofCancelledError]


def test_child_that_is_killed_from_outside_ran_out_of_memory(request_of: ProofRequest) -> None:
    error = refusal_after(request_of, signal.SIGKILL)
    assert error.code == "proof_memory"


def test_child_that_ends_with_its_service_says_nothing_of_the_model(
    request_of: ProofRequest,
) -> None:
    error = refusal_after(request_of, signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM)
    assert error.code == "proof_failed"
    assert "SIGTERM" in str(error)


def refusal_after(request: ProofRequest, *numbers: signal.Signals) -> MillhandError:
    """The refusal of a proof without end whose child gets signals."""
    request.path.write_bytes(evil_bundle("endless at golden", "mass", 2).content)
    errors: list[MillhandError] = []
    before = children()
    thread = threading.Thread(
        target=lambda: errors.append(refusal(replace(request, seconds=100.0)))
    )
    thread.start()
    (child,) = eventually(lambda: children() - before)
    for number in numbers:
        os.kill(child.pid, number)
    thread.join(20)
    (error,) = errors
    return error


def children() -> set[psutil.Process]:
    """Processes that this one has started; others than those of a proof may be among them."""
    return set(psutil.Process().children())
