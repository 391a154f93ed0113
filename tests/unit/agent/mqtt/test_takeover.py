"""Another agent with the same id is recognised by its signs, and by nothing else."""

import pytest

from agent.mqtt.connection import TAKEN_OVER, Connection, Will
from agent.mqtt.takeover import REASON, Takeover
from tests.kit.broker.fake_broker import FakeBroker

OWN, EARLIER, LATER = "2026-11-28T10:00:00Z", "2026-11-28T09:00:00Z", "2026-11-28T11:00:00Z"
QUIET_S = 20.0


class Case:
    """One agent's connections, and what it was told."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.doubts: list[str] = []
        self.takeover = Takeover("gw", QUIET_S, lambda: self.now_s)
        self.takeover.doubt = self.doubts.append

    def connect(self, *statuses: str) -> None:
        """Connect again, and hear statuses with these times of start."""
        self.takeover.connected(session_present=True)
        for since in statuses:
            self.takeover.heard(since, OWN)

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
    case.connect(EARLIER, OWN)
    assert case.doubts == []  # the earlier one is that of the run before
    case.lose(1_000)
    case.connect(EARLIER)
    assert case.doubts == [REASON]


def test_status_of_an_agent_that_started_later_is_a_sign(case: Case) -> None:
    case.connect(LATER)
    assert case.doubts == [REASON]


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
    case.takeover.heard(OWN, OWN)
    assert not case.takeover.is_asking


def test_readings_wait_for_the_status_for_a_moment_only(case: Case) -> None:
    case.connect(OWN)
    case.lose(1_000)
    case.connect()
    case.now_s += 1
    assert not case.takeover.is_asking
