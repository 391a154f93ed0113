"""The outputs of a request are whole and in order, however many runs they came from."""

import asyncio

import numpy as np
import pytest

from server.batching.job import Job
from server.http.refusals import LateError


def outputs(*values: float) -> dict[str, np.ndarray]:
    return {"value": np.array(values, "f4"), "score": np.array(values, "f4") * 2}


def test_job_is_answered_with_the_last_of_its_windows() -> None:
    async def run() -> None:
        job = Job(np.zeros((5, 1, 2), np.float32), 0.0)
        job.add(outputs(1, 2))
        job.add(outputs(3))
        assert not job.answered.done()
        job.add(outputs(4, 5))
        found = await job.answered
        assert found["value"].tolist() == [1, 2, 3, 4, 5]
        assert found["score"].tolist() == [2, 4, 6, 8, 10]

    asyncio.run(run())


def test_what_ended_first_counts() -> None:
    async def run() -> None:
        failed, given_up, answered = (Job(np.zeros((1, 1, 2), np.float32), 0.0) for _ in range(3))
        failed.fail(LateError("late"))
        failed.add(outputs(1))
        given_up.answered.cancel()
        given_up.add(outputs(1))
        given_up.fail(LateError("late"))
        answered.add(outputs(1))
        answered.fail(LateError("late"))
        with pytest.raises(LateError):
            await failed.answered
        assert given_up.answered.cancelled()
        assert (await answered.answered)["value"].tolist() == [1]

    asyncio.run(run())
