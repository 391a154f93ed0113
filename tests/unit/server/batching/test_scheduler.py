"""Requests share the runs of a model; each gets its own rows, and none fails for another."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

import numpy as np
import pytest

from server.batching.job import Job
from server.batching.scheduler import Scheduler, Version
from server.batching.waiting import Waiting
from server.http.refusals import LateError, ModelError, OverloadError
from server.settings import Limits
from serving.errors import ModelFailedError
from serving.incidents.under_way import UnderWay
from serving.model import Model
from serving.session import Session
from serving.time_limit import TimeLimit
from tests.kit.bundles.graphs import linear_bundle

DEADLY = (100.0, -100.0)
LONG_S = 60.0


def version(max_waiting: int = 100, **how: Any) -> Version:  # noqa: ANN401  as `linear_bundle` takes
    """A model of c0 - 10 * c1, which fails on `DEADLY`."""
    bundle = linear_bundle("mass", 1, [1.0, -10.0], **{"fails_above": 1095.0, **how})
    return Version(Model(Session(bundle), bundle.sha256), Waiting(max_waiting))


@contextmanager
def scheduler(max_batch: int = 100) -> Iterator[Scheduler]:
    made = Scheduler(Limits(max_batch=max_batch), UnderWay(None), TimeLimit(LONG_S))
    try:
        yield made
    finally:
        made.close()


def job(*rows: Sequence[float], wait_s: float = LONG_S) -> Job:
    return Job(np.array(rows, np.float32).reshape(len(rows), 1, -1), monotonic() + wait_s)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, LONG_S))


async def values(answered: asyncio.Future[Any]) -> list[float]:
    found: list[float] = (await answered)["value"].tolist()
    return found


async def warm(made: Scheduler, one: Version) -> None:
    """Have the version know how long a window takes; before, a batch is a single window."""
    await made.submit(one, job((0, 0)))


def test_requests_that_arrive_together_share_a_run_and_get_their_own_rows() -> None:
    async def test() -> None:
        with scheduler() as made:
            one = version()
            await warm(made, one)
            answered = [
                made.submit(one, job(*[(first, row) for row in range(first)]))
                for first in range(1, 6)
            ]
            found = [await values(each) for each in answered]
        assert found == [[first - 10 * row for row in range(first)] for first in range(1, 6)]
        assert one.batches == 2
        assert one.windows == 16
        assert list(one.measures.batches.cumulative)[4] == (16, 2)

    run(test())


def test_request_that_is_larger_than_a_batch_is_answered_whole_and_in_order() -> None:
    async def test() -> None:
        with scheduler(max_batch=4) as made:
            one = version()
            await warm(made, one)
            large = made.submit(one, job(*[(row, 0) for row in range(11)]))
            small = made.submit(one, job((50, 0)))
            assert await values(large) == list(range(11))
            assert await values(small) == [50]
        assert one.batches == 1 + 3

    run(test())


def test_request_that_the_model_fails_on_fails_alone() -> None:
    async def test() -> None:
        with scheduler() as made:
            one = version()
            await warm(made, one)
            answered = [made.submit(one, job(row)) for row in ((1, 0), DEADLY, (2, 0))]
            assert await values(answered[0]) == [1]
            assert await values(answered[2]) == [2]
            with pytest.raises(ModelError, match="model_failed"):
                await answered[1]
        assert one.measures.failed == 1
        assert one.failure is None  # the run after it went well

    run(test())


def test_failures_in_a_row_are_counted_until_the_model_answers() -> None:
    async def test() -> None:
        with scheduler() as made:
            one = version()
            for count in (1, 2, 3):
                with pytest.raises(ModelError):
                    await made.submit(one, job(DEADLY))
                assert one.failure is not None
                assert one.failure.batches == count
                assert isinstance(one.failure.error, ModelFailedError)
                assert one.failure.is_lasting == (count == 3)
            assert await values(made.submit(one, job((1, 0)))) == [1]
            assert one.failure is None

    run(test())


def test_part_of_a_request_that_fails_ends_all_of_it_and_the_next_is_answered() -> None:
    async def test() -> None:
        with scheduler(max_batch=2) as made:
            one = version()
            await warm(made, one)
            broken = made.submit(one, job((1, 0), DEADLY, (2, 0), (3, 0)))
            behind = made.submit(one, job((4, 0)))
            with pytest.raises(ModelError):
                await broken
            assert await values(behind) == [4]
        assert one.waiting.windows == 0

    run(test())


def test_bug_in_a_run_ends_its_request_and_no_other() -> None:
    """Windows of two widths cannot be put into one array: an error that nobody expects."""

    async def test() -> None:
        with scheduler() as made:
            one = version()
            await warm(made, one)
            good = made.submit(one, job((1, 0)))
            odd = made.submit(one, Job(np.zeros((1, 1, 3), np.float32), monotonic() + LONG_S))
            assert await values(good) == [1]
            with pytest.raises(ModelError):
                await odd
            text = made.submit(one, Job(np.array([[["a", "b"]]]), monotonic() + LONG_S))
            with pytest.raises(Exception, match=r".") as caught:
                await text
            assert not isinstance(caught.value, LateError)
            assert await values(made.submit(one, job((2, 0)))) == [2]

    run(test())


def test_request_that_is_late_is_refused_and_does_not_hold_up_others() -> None:
    async def test() -> None:
        with scheduler(max_batch=1) as made:
            one = version()
            await warm(made, one)
            late = made.submit(one, job((1, 0), (2, 0), wait_s=-1.0))
            early = made.submit(one, job((3, 0)))
            assert await values(early) == [3]
            with pytest.raises(LateError):
                await late
        assert one.windows == 2
        assert one.waiting.windows == 0

    run(test())


def test_request_that_was_given_up_is_not_run() -> None:
    async def test() -> None:
        with scheduler() as made:
            one = version()
            await warm(made, one)
            given_up = made.submit(one, job((1, 0)))
            kept = made.submit(one, job((2, 0)))
            given_up.cancel()
            assert await values(kept) == [2]
        assert one.windows == 2

    run(test())


def test_request_that_does_not_fit_is_refused_and_those_that_wait_are_answered() -> None:
    async def test() -> None:
        with scheduler() as made:
            one = version(max_waiting=3)
            kept = made.submit(one, job((1, 0), (2, 0)))
            with pytest.raises(OverloadError):
                made.submit(one, job((3, 0), (4, 0)))
            assert await values(kept) == [1, 2]
            assert await values(made.submit(one, job((3, 0), (4, 0), (5, 0)))) == [3, 4, 5]

    run(test())


def test_model_waits_for_one_batch_of_another_at_most() -> None:
    async def test() -> None:
        ended: list[str] = []
        all_ended = asyncio.Event()

        def ask(one: Version, name: str, then: Callable[[], None] = lambda: None) -> None:
            def note(_: object) -> None:
                ended.append(name)
                then()

            made.submit(one, job((1, 0))).add_done_callback(note)

        with scheduler(max_batch=1) as made:
            busy, other = version(), version(bias=1.0)
            # The first run is on the thread, as its pace is not known, and others come meanwhile.
            ask(busy, "first", lambda: ask(other, "other"))
            await asyncio.sleep(0)
            ask(busy, "second")
            ask(busy, "third", all_ended.set)
            await all_ended.wait()
        assert ended == ["first", "second", "other", "third"]

    run(test())


def test_time_of_a_run_counts_for_each_of_its_requests() -> None:
    async def test() -> None:
        with scheduler() as made:
            one = version()
            await warm(made, one)
            before_ns = one.measures.busy_ns
            jobs = [job((first, 0)) for first in range(3)]
            await asyncio.gather(*(made.submit(one, each) for each in jobs))
            busy_ns = one.measures.busy_ns - before_ns
        assert busy_ns > 0
        assert [each.run_ns for each in jobs] == [busy_ns] * 3

    run(test())
