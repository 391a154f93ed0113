"""Recorded rows as messages: topics, payloads, pace."""

import argparse
import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from models.states import States
from trainer.commands.replay import Plan, arguments, replay
from trainer.errors import DataError, UsageError
from trainer.ingest.recording import Recording

START_NS = 1_740_787_200 * 10**9
ROW = Plan("plant/{asset}/telemetry")
EACH = Plan("plant/{asset}/{signal}", dialect="scalar", timestamp="timestamp")


@dataclass
class Wire:
    """A publisher that keeps what it is given, and in what order it was told to wait."""

    sent: list[tuple[str, bytes, int]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    flushed: bool = False

    def publish(self, topic: str, payload: bytes, qos: int) -> None:
        self.sent.append((topic, payload, qos))

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)

    def flush(self) -> None:
        self.flushed = True

    @property
    def documents(self) -> list[object]:
        return [json.loads(payload) for _, payload, _ in self.sent]


def recording(rows: int = 4, assets: int = 2, *, step_ns: int = 10**9) -> Recording:
    number = np.arange(rows)
    return Recording(
        channels=("pressure", "oil.level"),
        assets=tuple(f"p{index}" for index in range(assets)),
        asset=number % assets,
        times_ns=START_NS + number // assets * step_ns,
        timed=True,
        values=np.column_stack([number + 0.5, number * 10.0]),
        files=("a.csv",),
        file=np.zeros(rows, dtype=np.int64),
        line=number + 2,
    )


def played(plan: Plan, given: Recording | None = None) -> Wire:
    wire = Wire()
    replay(given if given is not None else recording(), plan, wire)
    assert wire.flushed
    return wire


def test_row_is_one_object_with_its_source_time() -> None:
    wire = played(ROW)
    assert [topic for topic, _, _ in wire.sent] == ["plant/p0/telemetry", "plant/p1/telemetry"] * 2
    assert wire.documents[2] == {"ts": 1_740_787_201_000, "pressure": 2.5, "oil": {"level": 20.0}}
    assert {qos for _, _, qos in wire.sent} == {1}


def test_missing_value_is_null_in_a_row_and_no_message_alone() -> None:
    given = recording()
    given.values[0, 0] = np.nan
    given.values[1, 1] = np.inf
    rows = played(ROW, given).documents
    assert rows[0] == {"ts": 1_740_787_200_000, "pressure": None, "oil": {"level": 0.0}}
    assert rows[1] == {"ts": 1_740_787_200_000, "pressure": 1.5, "oil": {"level": None}}
    assert [topic for topic, _, _ in played(EACH, given).sent][:2] == [
        "plant/p0/oil.level",
        "plant/p1/pressure",
    ]


def test_signal_can_have_a_topic_of_its_own() -> None:
    wire = played(EACH)
    assert wire.sent[0][0] == "plant/p0/pressure"
    assert wire.documents[0] == {"timestamp": 1_740_787_200_000, "value": 0.5}
    assert len(wire.sent) == 8


def test_value_can_be_plain_text() -> None:
    assert played(replace(EACH, dialect="plain")).sent[0][1] == b"0.5"


def test_state_is_published_as_its_text() -> None:
    states = {"oil.level": States({"low": 0, "high": 10})}
    given = recording(assets=1, rows=3)
    given.values[2, 1] = np.nan
    rows = played(replace(ROW, timestamp="", states=states), given).documents
    assert rows == [
        {"pressure": 0.5, "oil": {"level": "low"}},
        {"pressure": 1.5, "oil": {"level": "high"}},
        {"pressure": 2.5, "oil": {"level": None}},
    ]
    plain = played(replace(EACH, dialect="plain", states=states), given)
    assert [payload for _, payload, _ in plain.sent] == [b"0.5", b"low", b"1.5", b"high", b"2.5"]


def test_row_can_carry_its_number() -> None:
    documents = played(replace(ROW, sequence="seq", timestamp="")).documents
    assert documents[3] == {"seq": 4, "pressure": 3.5, "oil": {"level": 30.0}}


def test_rows_without_a_time_axis_have_no_time() -> None:
    given = replace(recording(assets=1), timed=False)
    assert played(ROW, given).documents[0] == {"pressure": 0.5, "oil": {"level": 0.0}}


@pytest.mark.parametrize(("unit", "stamp"), [("s", 1_740_787_200), ("ns", START_NS)])
def test_time_has_the_unit_that_is_asked_for(unit: str, stamp: int) -> None:
    plan = replace(ROW, unit=unit)  # type: ignore[arg-type]  # one of the literals
    document = played(plan).documents[0]
    assert isinstance(document, dict)
    assert document["ts"] == stamp


def test_pace_is_that_of_the_recording_times_the_speed() -> None:
    wire = Wire()
    outcome = replay(
        recording(6), replace(ROW, speed=10.0), wire, clock=lambda: 7.0 + sum(wire.waits)
    )
    assert wire.waits == pytest.approx([0.1, 0.1])
    assert outcome.seconds == pytest.approx(0.2)


def test_at_most_speed_nothing_is_waited_for() -> None:
    assert played(ROW).waits == []


def test_progress_counts_rows() -> None:
    done: list[int] = []
    outcome = replay(recording(), EACH, Wire(), advance=done.append)
    assert sum(done) == outcome.rows == 4
    assert outcome.messages == 8


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan("plant/telemetry"), "2 assets"),
        (Plan("plant/{line}/{asset}"), r"{asset} and {signal}"),
        (Plan("plant/+/{asset}"), "plant/+/{asset}"),
        (Plan("plant/{asset"), "plant/{asset"),
        (Plan("plant/{asset}/{signal}"), "--dialect"),
        (Plan("plant/{asset}", dialect="plain"), "--dialect"),
    ],
)
def test_plan_that_does_not_fit_is_refused(plan: Plan, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        played(plan)
    assert said in str(caught.value)


def test_pace_needs_a_time_axis() -> None:
    with pytest.raises(UsageError, match="--speed max"):
        played(replace(ROW, speed=1.0), replace(recording(), timed=False))


def test_time_finer_than_its_unit_is_refused() -> None:
    with pytest.raises(UsageError, match="--timestamp-unit"):
        played(ROW, recording(step_ns=1500))


def test_asset_that_no_topic_may_have_is_refused() -> None:
    with pytest.raises(DataError, match="'\\+', '#'"):
        played(ROW, replace(recording(), assets=("p0", "p#1")))


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    arguments(parser)
    required = ["--recipe", "r.toml", "--topic", "t", "--broker", "localhost:1883"]
    return parser.parse_args([*required, *words])


def test_command_line_says_speed_and_rows() -> None:
    assert parsed("--speed", "max").speed is None
    assert parsed("--speed", "2.5").speed == 2.5
    assert parsed("--rows", "400:").rows == slice(400, None)
    assert parsed("--rows", ":9").rows == slice(None, 9)


@pytest.mark.parametrize("words", [("--speed", "0"), ("--rows", "7"), ("--rows", "a:b")])
def test_command_line_that_makes_no_sense_is_refused(words: tuple[str, str]) -> None:
    with pytest.raises(argparse.ArgumentError, match=words[0]):
        parsed(*words)
