"""What waits for a model is taken in order, within bounds, and dropped where it is of no use."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from server.batching.job import Job, Portion
from server.batching.waiting import Waiting
from server.http.refusals import LateError, OverloadError, UnavailableError

DEADLINE_S = 100.0
BEFORE_S, AFTER_S = 99.0, 101.0


def job(windows: int, deadline_s: float = DEADLINE_S) -> Job:
    return Job(np.zeros((windows, 1, 2), np.float32), deadline_s)


def on_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test on an event loop, without which there are no futures."""

    def run() -> None:
        async def inner() -> None:
            await test()

        asyncio.run(inner())

    run.__name__ = getattr(test, "__name__", "test")
    return run


@on_loop
async def test_jobs_are_taken_in_the_order_of_their_arrival() -> None:
    waiting, jobs = Waiting(100), [job(2), job(3), job(4)]
    for one in jobs:
        waiting.add(one)
    assert waiting.take(6, BEFORE_S) == [
        Portion(jobs[0], 0, 2),
        Portion(jobs[1], 0, 3),
        Portion(jobs[2], 0, 1),
    ]
    assert waiting.take(6, BEFORE_S) == [Portion(jobs[2], 1, 4)]
    assert waiting.take(6, BEFORE_S) == []


@on_loop
async def test_job_that_is_larger_than_a_batch_is_split() -> None:
    waiting, large, small = Waiting(100), job(10), job(1)
    waiting.add(large)
    waiting.add(small)
    taken = [waiting.take(4, BEFORE_S) for _ in range(3)]
    assert [[(one.begin, one.end) for one in batch] for batch in taken] == [
        [(0, 4)],
        [(4, 8)],
        [(8, 10), (0, 1)],
    ]
    assert (large.left, len(waiting), waiting.windows) == (0, 0, 0)


@on_loop
async def test_windows_beyond_the_bound_are_refused_until_there_is_room() -> None:
    waiting = Waiting(5)
    waiting.add(job(3))
    with pytest.raises(OverloadError, match=r"3 windows wait .* the 3 of this request .* than 5"):
        waiting.add(job(3))
    assert waiting.windows == 3
    waiting.add(job(2))
    waiting.take(1, BEFORE_S)
    waiting.add(job(1))
    assert waiting.windows == 5
    with pytest.raises(OverloadError):
        waiting.add(job(1))


@on_loop
async def test_job_whose_time_has_passed_is_refused_and_the_next_one_taken() -> None:
    waiting, late, early = Waiting(10), job(2), job(3, deadline_s=200.0)
    waiting.add(late)
    waiting.add(early)
    assert waiting.take(10, AFTER_S) == [Portion(early, 0, 3)]
    assert waiting.windows == 0
    with pytest.raises(LateError):
        late.answered.result()


@on_loop
async def test_time_passes_for_the_rest_of_a_job_too() -> None:
    waiting, one = Waiting(10), job(4)
    waiting.add(one)
    assert waiting.take(3, BEFORE_S) == [Portion(one, 0, 3)]
    assert waiting.take(3, AFTER_S) == []
    assert waiting.windows == 0
    with pytest.raises(LateError):
        one.answered.result()


@on_loop
async def test_job_that_was_given_up_is_not_taken() -> None:
    waiting, given_up, kept = Waiting(10), job(2), job(1)
    waiting.add(given_up)
    waiting.add(kept)
    given_up.answered.cancel()
    assert waiting.take(10, BEFORE_S) == [Portion(kept, 0, 1)]
    assert waiting.windows == 0


@on_loop
async def test_members_of_a_batch_that_failed_come_first_each_alone() -> None:
    waiting, jobs = Waiting(10), [job(2), job(1), job(1)]
    for one in jobs:
        waiting.add(one)
    batch = waiting.take(3, BEFORE_S)
    waiting.try_alone(batch)
    assert waiting.windows == 4
    assert [waiting.take(10, BEFORE_S) for _ in range(3)] == [
        [Portion(jobs[0], 0, 2)],
        [Portion(jobs[1], 0, 1)],
        [Portion(jobs[2], 0, 1)],
    ]
    assert waiting.windows == 0


@on_loop
async def test_member_that_was_given_up_is_not_tried_alone() -> None:
    waiting, jobs = Waiting(10), [job(2), job(1)]
    for one in jobs:
        waiting.add(one)
    waiting.try_alone(waiting.take(3, BEFORE_S))
    jobs[0].answered.cancel()
    assert waiting.take(10, BEFORE_S) == [Portion(jobs[1], 0, 1)]
    assert waiting.windows == 0


@on_loop
async def test_all_that_are_late_are_refused_wherever_they_stand() -> None:
    waiting = Waiting(20)
    jobs = [job(2), job(1), job(1, deadline_s=200.0), job(1)]
    for one in jobs:
        waiting.add(one)
    waiting.try_alone(waiting.take(2, BEFORE_S))
    waiting.end_late(BEFORE_S)
    assert not any(one.answered.done() for one in jobs)
    waiting.end_late(AFTER_S)
    assert [one.answered.done() for one in jobs] == [True, True, False, True]
    assert waiting.take(10, AFTER_S) == [Portion(jobs[2], 0, 1)]
    assert (waiting.windows, len(waiting)) == (0, 0)
    for one in jobs:
        if one.answered.done():
            assert isinstance(one.answered.exception(), LateError)


@on_loop
async def test_all_that_wait_are_refused_where_the_model_is_unloaded() -> None:
    waiting, jobs = Waiting(20), [job(2), job(1), job(1)]
    for one in jobs:
        waiting.add(one)
    waiting.try_alone(waiting.take(2, BEFORE_S))
    error = UnavailableError("unloaded")
    waiting.clear(error)
    assert [one.answered.exception() for one in jobs] == [error] * 3
    assert (waiting.windows, len(waiting), waiting.take(10, BEFORE_S)) == (0, 0, [])
