"""Slow work runs aside, its results come back in order, and its bugs do not stay hidden."""

import select
import threading
from collections.abc import Callable, Iterator

import pytest

from serving.worker import WakeUp, Worker
from tests.kit.waiting import eventually


@pytest.fixture
def wake_up() -> Iterator[WakeUp]:
    made = WakeUp()
    yield made
    made.close()


@pytest.fixture
def worker(wake_up: WakeUp) -> Iterator[Worker]:
    made = Worker("test", wake_up)
    yield made
    made.stop(5)


def is_awake(wake_up: WakeUp) -> bool:
    readable, _, _ = select.select([wake_up], [], [], 0)
    return bool(readable)


def test_wake_up_ends_a_wait_once() -> None:
    wake_up = WakeUp()
    assert not is_awake(wake_up)
    wake_up.set()
    assert is_awake(wake_up)
    wake_up.clear()
    assert not is_awake(wake_up)
    wake_up.close()


def test_wake_up_never_blocks(wake_up: WakeUp) -> None:
    for _ in range(100_000):
        wake_up.set()
    wake_up.clear()
    assert not is_awake(wake_up)


def test_wake_up_that_is_closed_is_left_alone() -> None:
    wake_up = WakeUp()
    wake_up.close()
    wake_up.set()
    assert wake_up.fileno() == -1


def test_result_of_a_job_is_called_on_the_thread_that_asks(worker: Worker, wake_up: WakeUp) -> None:
    seen: list[str] = []

    def job() -> Callable[[], None]:
        seen.append(threading.current_thread().name)
        return lambda: seen.append(threading.current_thread().name)

    worker.submit(job)
    eventually(lambda: is_awake(wake_up))
    worker.run_posted()
    assert seen == ["test", threading.current_thread().name]


def test_jobs_and_their_results_keep_their_order(worker: Worker) -> None:
    seen: list[int] = []
    for number in range(100):
        worker.submit(lambda number=number: lambda: seen.append(number))  # type: ignore[misc]  # mypy takes the default for a parameter

    def all_seen() -> bool:
        worker.run_posted()
        return len(seen) == 100

    eventually(all_seen)
    assert seen == list(range(100))


def test_job_can_report_while_it_runs(worker: Worker) -> None:
    seen: list[str] = []
    release = threading.Event()

    def job() -> None:
        worker.post(lambda: seen.append("half"))
        release.wait(10)

    worker.submit(job)

    def reported() -> bool:
        worker.run_posted()
        return seen == ["half"]

    eventually(reported)
    assert not release.is_set()
    release.set()


def test_bug_in_a_job_is_raised_on_the_hot_thread(worker: Worker, wake_up: WakeUp) -> None:
    def bug() -> None:
        raise LookupError("a bug")

    worker.submit(bug)
    eventually(lambda: is_awake(wake_up))
    with pytest.raises(LookupError, match="a bug"):
        worker.run_posted()


def test_stop_finishes_the_job_under_way_and_those_behind_it(wake_up: WakeUp) -> None:
    worker = Worker("test", wake_up)
    seen: list[str] = []
    started = threading.Event()

    def long_job() -> None:
        started.set()
        worker.stopping.wait(10)
        seen.append("first")

    worker.submit(long_job)
    worker.submit(lambda: seen.append("second"))
    assert started.wait(10)
    worker.stop(10)
    assert seen == ["first", "second"]
    assert not any(thread.name == "test" for thread in threading.enumerate())


def test_stop_does_not_wait_for_a_job_that_does_not_look(wake_up: WakeUp) -> None:
    worker = Worker("stuck", wake_up)
    release, started = threading.Event(), threading.Event()

    def stuck() -> Callable[[], None]:
        started.set()
        release.wait(10)
        return lambda: None

    worker.submit(stuck)
    assert started.wait(10)
    worker.stop(0.01)
    release.set()
    eventually(lambda: not any(thread.name == "stuck" for thread in threading.enumerate()))
