"""The record of the session: what one start leaves for the next."""

from pathlib import Path

import pytest

from agent.config.settings import Broker
from agent.mqtt.session_record import SessionRecord


def a_start(folder: Path, at: int, *, client_id: str = "gw", expiry_s: int = 60) -> SessionRecord:
    broker = Broker(host="broker", session_expiry_s=expiry_s)
    return SessionRecord(folder, broker, client_id, f"2026-11-28T10:{at:02}:00.000Z")


def test_starts_are_kept_up_to_sixteen(tmp_path: Path) -> None:
    for at in range(20):
        a_start(tmp_path, at).keep()
    starts = a_start(tmp_path, 20).starts
    assert [one[14:16] for one in starts] == [f"{at:02}" for at in range(4, 20)]


def test_doubt_is_kept_for_the_same_client_id(tmp_path: Path) -> None:
    record = a_start(tmp_path, 0)
    record.is_shared = True
    record.keep()
    assert a_start(tmp_path, 1).is_shared
    assert not a_start(tmp_path, 1, client_id="gw-2").is_shared  # the remedy was followed


def test_nothing_is_written_where_the_broker_keeps_no_session(tmp_path: Path) -> None:
    record = a_start(tmp_path, 0, expiry_s=0)
    record.keep()
    assert not record.is_due
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("starts", ['"yesterday"', "[1, null]", "{}"])
def test_starts_that_cannot_be_read_are_none(tmp_path: Path, starts: str) -> None:
    (tmp_path / "session.json").write_text(f'{{"client_id": "gw", "starts": {starts}}}')
    assert a_start(tmp_path, 0).starts == ()
