"""One line an event, whatever is in its fields, and no flood."""

import logging
from collections.abc import Callable, Iterator

import pytest

from serving import log

Lines = Callable[[], list[str]]


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """The lines that were logged since `log.start`, which a test calls where they shall go."""

    def lines() -> list[str]:
        return capsys.readouterr().err.splitlines()

    yield lines
    logging.getLogger("millhand").handlers.clear()  # they hold the captured stream


def test_line_is_level_sentence_and_fields(logged: Lines) -> None:
    log.start()
    log.info("connected", mqtt="5", session=True)
    log.warning("waiting", reason="no broker", seconds=1.5)
    log.error("lost", count=3, stream=None)
    assert logged() == [
        'INFO connected mqtt="5" session=true',
        'WARNING waiting reason="no broker" seconds=1.5',
        "ERROR lost count=3 stream=null",
    ]


def test_field_cannot_break_out_of_its_line(logged: Lines) -> None:
    log.start()
    log.info("message dropped", topic='a\nERROR forged\x1b[31m "b"\r\x00')
    (line,) = logged()
    assert line == (r'INFO message dropped topic="a\nERROR forged\u001b[31m \"b\"\r\u0000"')


def test_field_that_is_no_json_is_told_as_text(logged: Lines) -> None:
    log.start()
    log.info("x", path=ValueError("why"), many={1})
    assert logged() == ['INFO x path="why" many="{1}"']


def test_starting_twice_does_not_log_twice(logged: Lines) -> None:
    log.start()
    log.start()
    log.info("once")
    assert logged() == ["INFO once"]


def test_traceback_follows_its_line(logged: Lines) -> None:
    log.start()
    try:
        raise ValueError("why")  # noqa: TRY301 - there is nothing to call
    except ValueError:
        logging.getLogger("millhand").exception("bug")
    lines = logged()
    assert lines[0] == "ERROR bug"
    assert lines[-1] == "ValueError: why"


def test_flood_is_one_line_an_interval_and_key(logged: Lines) -> None:
    log.start()
    now = 0.0
    limited = log.Limited(60.0, lambda: now)
    for moment in (0.0, 1.0, 59.9):
        now = moment
        limited.warning("empty", "message dropped", reason="empty")
        limited.warning("late", "message dropped", reason="late")
    assert logged() == [
        'WARNING message dropped reason="empty"',
        'WARNING message dropped reason="late"',
    ]
    now = 60.0
    limited.warning("empty", "message dropped", reason="empty")
    now = 120.0
    limited.warning("empty", "message dropped", reason="empty")
    assert logged() == [
        'WARNING message dropped reason="empty" held_back=2',
        'WARNING message dropped reason="empty"',
    ]
