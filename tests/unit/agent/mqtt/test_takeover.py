"""Another agent with the same id is recognised by its signs, and by nothing else."""

import pytest

from agent.mqtt.connection import TAKEN_OVER, Connection, Will
from agent.mqtt.takeover import REASON, Takeover
from tests.kit.broker.fake_broker import FakeBroker

OWN, EARLIER, LATER = "2026-11-28T10:00:00Z", "2026-11-28T09:00:00Z", "2026-11-28T11:00:00Z"
FIRST, BEFORE_ALL = "2026-11-28T08:00:00Z", "2026-11-28T07:00:00Z"
QUIET_S, RETURN_S = 20.0, 3.0


class Case:
    """One agent's connections, and what it was told."""

    def __init__(self, *starts: str) -> None:
        self.now_s = 100.0
        self.doubts: list[str] = []
        self.takeover = Takeover("gw", starts, QUIET_S, lambda: self.now_s)
        self.takeover.doubt = self.doubts.append

    def connect(self, *statuses: str, is_online: bool = False) -> None:
        """Connect again, and hear statuses with these times of start."""
        self.takeover.connected(session_present=True)
        for since in statuses:
            self.hear(since, is_online=is_online)

    def hear(self, since: str, *, is_online: bool = False, is_live: bool = False) -> None:
        """Hear a status; an agent that is stopped or killed leaves a retained one: offline."""
        self.takeover.heard(since, OWN, is_online=is_online, is_live=is_live)

    def lose(
        self, after_s: float, *, ended_with: int | None = None, is_closed: bool = True
    ) -> None:
        """Lose the connection."""
        self.now_s += after_s
        lost = FakeBroker().connection("gw", Will("gw/status", b""))
        lost.ended_with, lost.is_closed = ended_with, is_closed
        self.takeover.lost(as_connection(lost))

    def tick(self, after_s: float) -> None:
        """Let time pass."""
        self.now_s += after_s
        self.takeover.tick()


def as_connection(fake: object) -> Connection:
    """The fake has every member of the real one that is used."""
    made: Connection = fake  # type: ignore[assignment]  # as above
    return made


@pytest.fixture
def case() -> Case:
    return Case()


def test_reason_code_of_the_broker_is_a_sign(case: Case) -> None:
    case.connect(OWN)
    case.lose(1_000, ended_with=TAKEN_OVER, is_closed=False)
    assert case.doubts == [REASON]


def test_status_of_another_agent_is_a_sign_once_ours_was_there(case: Case) -> None:
    case.connect(OWN)
    case.lose(1_000)
    case.connect(EARLIER)
    assert case.doubts == [REASON]


def test_status_of_an_agent_that_started_later_is_a_sign(case: Case) -> None:
    case.connect(LATER)
    assert case.doubts == [REASON]


def test_status_of_a_start_that_is_not_on_record_is_a_sign() -> None:
    case = Case(FIRST, EARLIER)
    case.connect("2026-11-28T08:30:00Z")
    assert case.doubts == [REASON]
    assert "does not know" in case.takeover.trouble
    case.hear(OWN)
    case.lose(1)
    case.connect("2026-11-28T08:30:00Z")
    assert "another client connects as gw" in case.takeover.trouble


@pytest.mark.parametrize("since", [FIRST, EARLIER, LATER, BEFORE_ALL])
def test_status_of_an_own_start_is_no_sign(since: str) -> None:
    """LATER is of a run before the clock went back; BEFORE_ALL of one that nobody recorded."""
    case = Case(FIRST, EARLIER, LATER)
    case.connect(since)
    case.lose(1)
    case.connect(since, OWN)
    case.lose(60)
    case.connect(since)  # the broker goes on from an older state
    case.lose(60)
    assert case.doubts == []


def test_agent_that_was_connected_until_now_and_comes_back_is_a_sign() -> None:
    """It is on record here, because this one is the clone of its whole card."""
    for message in ({"is_online": True}, {"is_live": True}):
        case = Case(FIRST, EARLIER)
        case.connect()
        case.hear(EARLIER, **message)
        case.hear(OWN)
        assert case.takeover.is_asking
        case.lose(RETURN_S - 0.1)
        assert case.doubts == [REASON]
        assert not case.takeover.is_asking  # nothing is GOOD now, so nothing has to wait


def test_agent_that_was_connected_until_now_and_does_not_come_back_is_no_sign() -> None:
    """It was this one, which has lost its power."""
    case = Case(FIRST, EARLIER)
    case.connect()
    case.hear(EARLIER, is_online=True)
    case.hear(OWN)
    case.now_s += RETURN_S
    assert not case.takeover.is_asking
    case.lose(0)
    case.connect(OWN)
    assert case.doubts == []


def test_live_status_of_an_agent_on_record_is_a_sign_once_ours_was_there() -> None:
    case = Case(FIRST, EARLIER)
    case.connect(OWN)
    case.hear(EARLIER, is_live=True)
    assert case.doubts == [REASON]


def test_doubt_that_lasted_at_the_end_of_the_last_run_goes_on(case: Case) -> None:
    case.takeover.remember()
    assert case.doubts == [REASON]
    case.now_s += QUIET_S
    case.connect(OWN)
    case.tick(QUIET_S - 1)
    assert "when this agent ran last" in case.takeover.trouble
    case.tick(1)
    assert case.doubts == [REASON, ""]


def test_status_that_may_not_be_written_is_no_sign(case: Case) -> None:
    """The broker still has that of an earlier run, because it refuses ours."""
    for _ in range(3):
        case.connect(EARLIER)
        case.lose(60)
    assert case.doubts == []


def test_three_connections_closed_at_once_are_a_sign(case: Case) -> None:
    for told in ([], [], [REASON]):
        case.connect()
        case.lose(1)
        assert case.doubts == told


def test_six_connections_closed_at_once_are_a_sign_where_our_status_is_heard(case: Case) -> None:
    """The other agent has the same client id, but another gateway id."""
    case.connect(OWN)
    case.lose(60)
    for number in range(1, 7):
        assert case.doubts == [], f"before loss {number}"
        case.connect(OWN)
        case.lose(1)
    assert case.doubts == [REASON]
    assert "as it does when another client connects" in case.takeover.trouble


def test_connections_that_last_are_no_sign(case: Case) -> None:
    for _ in range(20):
        for _ in range(5):
            case.connect(OWN)
            case.lose(1)
        case.connect(OWN)
        case.lose(60)
    assert case.doubts == []


def test_any_further_connection_that_is_closed_keeps_the_doubt(case: Case) -> None:
    case.connect(OWN)
    case.lose(1, ended_with=TAKEN_OVER)
    case.connect(OWN)
    case.tick(QUIET_S - 1)
    case.lose(0)
    case.connect(OWN)
    case.tick(QUIET_S - 1)
    assert case.doubts == [REASON]


def test_other_agent_that_waits_longer_is_waited_for(case: Case) -> None:
    case.connect(OWN)
    case.lose(1, ended_with=TAKEN_OVER)
    case.connect(OWN)
    case.lose(QUIET_S - 1, ended_with=TAKEN_OVER)
    case.now_s += 30  # the own wait does not count
    case.connect(OWN)
    case.tick(3 * QUIET_S)
    assert case.doubts == [REASON]
    case.tick(QUIET_S)
    assert case.doubts == [REASON, ""]


def test_doubt_of_a_link_that_is_often_cut_ends_after_two_minutes_without_a_cut(case: Case) -> None:
    for _ in range(6):
        case.connect(OWN)
        case.lose(1)
    for lasted_s in (4, 14, 50, 100):
        case.connect(OWN)
        case.lose(lasted_s)
    case.connect(OWN)
    case.tick(119)
    assert case.doubts == [REASON]
    case.tick(1)
    assert case.doubts == [REASON, ""]
    case.lose(1, ended_with=TAKEN_OVER)
    case.connect(OWN)
    case.tick(QUIET_S)
    assert case.doubts == [REASON, ""] * 2


def test_network_that_fails_again_and_again_is_no_sign(case: Case) -> None:
    for _ in range(10):
        case.connect()
        case.lose(1, is_closed=False)
    assert case.doubts == []


def test_it_is_over_after_a_quiet_time_on_one_connection(case: Case) -> None:
    case.connect(OWN)
    case.lose(1, ended_with=TAKEN_OVER)
    case.now_s += 60  # in which the other agent may be connected
    case.connect(OWN)
    case.tick(QUIET_S - 1)
    assert case.takeover.trouble
    case.tick(1)
    assert case.doubts == [REASON, ""]
    assert not case.takeover.trouble


def test_readings_wait_for_the_status_after_an_unexplained_loss(case: Case) -> None:
    case.connect(OWN)
    case.lose(1_000)
    case.connect()
    assert case.takeover.is_asking
    case.hear(OWN)
    assert not case.takeover.is_asking


def test_readings_of_the_first_connection_wait_for_the_status(case: Case) -> None:
    case.connect()
    assert case.takeover.is_asking
    case.hear(EARLIER)
    assert not case.takeover.is_asking


def test_readings_wait_for_the_status_for_a_moment_only(case: Case) -> None:
    case.connect(OWN)
    case.lose(1_000)
    case.connect()
    case.now_s += 1
    assert not case.takeover.is_asking
