"""The agent's time of day never goes back, whatever is done to the system's clock."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from serving.clock import SteadyClock

HOUR_NS = 3_600 * 10**9
NOW_NS = 1_760_000_000 * 10**9
steps = st.lists(
    st.tuples(
        st.integers(0, 2 * HOUR_NS),  # time that passes
        st.sampled_from([0, 0, 1, -1, HOUR_NS, -HOUR_NS, 50 * 365 * 24 * HOUR_NS]),  # set by
    ),
    max_size=20,
)


class System:
    """A machine on which time passes, and whose time of day is set by hand."""

    def __init__(self, wall_ns: int = NOW_NS) -> None:
        self.wall_ns = wall_ns
        self.monotonic_ns = 5
        self.clock = SteadyClock(lambda: self.wall_ns, lambda: self.monotonic_ns)

    def after(self, passed_ns: int, set_by_ns: int = 0) -> int:
        """What the clock says when time has passed, and the time of day was set."""
        self.monotonic_ns += passed_ns
        self.wall_ns += passed_ns + set_by_ns
        return self.clock()


@given(steps=steps)
def test_it_never_goes_back_and_knows_how_far_it_is_ahead(steps: list[tuple[int, int]]) -> None:
    system, before_ns = System(), 0
    for passed_ns, set_by_ns in steps:
        now_ns = system.after(passed_ns, set_by_ns)
        assert now_ns >= before_ns
        assert now_ns - system.clock.ahead_ns == system.wall_ns
        assert system.clock.ahead_ns >= 0
        before_ns = now_ns


@given(steps=steps)
def test_it_follows_a_clock_that_is_never_set_back(steps: list[tuple[int, int]]) -> None:
    system = System()
    for passed_ns, set_by_ns in steps:
        assert system.after(passed_ns, abs(set_by_ns)) == system.wall_ns


def test_it_follows_from_1970_at_once() -> None:
    system = System(wall_ns=12)
    assert system.after(100, set_by_ns=NOW_NS) == NOW_NS + 112


def test_an_hour_set_back_leaves_the_rhythm_and_is_made_good_in_sixteen() -> None:
    system = System()
    at_ns = [system.after(HOUR_NS, set_by_ns=-HOUR_NS if hour == 1 else 0) for hour in range(20)]
    between = [later - earlier for earlier, later in itertools.pairwise(at_ns)]
    assert between[:16] == [HOUR_NS * 15 // 16] * 16
    assert between[16:] == [HOUR_NS] * 3
    assert system.clock.ahead_ns == 0
