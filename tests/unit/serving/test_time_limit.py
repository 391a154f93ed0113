"""An inference that does not end is interrupted, and no other one is."""

from collections.abc import Iterator
from time import monotonic_ns

import numpy as np
import pytest

from serving.errors import TimedOutError
from serving.session import Session
from serving.time_limit import TimeLimit
from serving.worker import WakeUp, Worker
from tests.kit.gateway.failing import BEYOND, ENDLESS, failing_bundle
from tests.kit.waiting import eventually

BELOW = np.ones((2, 1, 2), np.float32)
ENDLESSLY = np.full((2, 1, 2), BEYOND, np.float32)


@pytest.fixture
def limit() -> Iterator[TimeLimit]:
    """A limit of a tenth of a second, which a thread watches."""
    wake_up = WakeUp()
    worker = Worker("inference", wake_up)
    made = TimeLimit(0.1)
    made.watch(worker)
    yield made
    worker.stop(10)
    wake_up.close()


@pytest.fixture
def session() -> Session:
    return Session(failing_bundle("mass", 2, "passes", ENDLESS))


def test_inference_that_does_not_end_is_interrupted_and_the_session_goes_on(
    limit: TimeLimit, session: Session
) -> None:
    for _ in range(2):
        limit.under_way = monotonic_ns(), session.options
        with pytest.raises(TimedOutError, match="mass#2: an inference of 2 windows took too long"):
            session.run(ENDLESSLY)
        limit.under_way = None
        session.renew_options()
        assert session.run(BELOW)["value"].tolist() == [2.0, 2.0]


def test_flag_is_set_for_the_inference_that_is_late_and_for_no_other(
    limit: TimeLimit, session: Session
) -> None:
    quick = session.options
    limit.under_way = monotonic_ns(), quick
    limit.under_way = None
    session.renew_options()
    late = session.options
    limit.under_way = monotonic_ns(), late
    eventually(lambda: late.terminate)
    limit.under_way = None
    assert not quick.terminate
