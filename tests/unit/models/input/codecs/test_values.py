"""Values of signals: numbers in every spelling that is allowed, states by their codes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DecodeError
from models.input.codecs.json_row import JsonRowDecoder
from models.input.codecs.reading import Fields
from models.input.codecs.scalar import PlainDecoder, UmhDecoder
from models.input.codecs.values import (
    Unread,
    ValueReader,
    to_lenient_number,
    to_number,
    value_reader,
)
from models.states import States, state_text

VALVE = States({"closed": 0, "open": 1})
MODES = States({"1": 10, "2": 20, "auto": 30})
TRUTH = States({"true": 1, "FALSE": 0})


def reason(read: ValueReader, value: object) -> str:
    with pytest.raises(DecodeError) as caught:
        read(value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("23.5", 23.5),
        (" 23,5 ", 23.5),
        ("-1e3", -1000.0),
        ("23.5 bar", 23.5),
        pytest.param("23,5°C", 23.5, id="unit without a blank"),
        ("80 %", 80.0),
        ("+7", 7.0),
        ("TRUE", 1.0),
        ("false", 0.0),
    ],
)
def test_lenient_number_is_read(text: str, wanted: float) -> None:
    assert to_lenient_number(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["", "bar", "1,234.5", "1.234,5", "1 234", "1_000", "12:30", "0x10", "5 - 7", "3 4 bar", "٢٣"],
)
def test_lenient_number_is_not_guessed(text: str) -> None:
    assert reason(to_lenient_number, text) == "not_a_number"


def test_lenient_number_is_finite_and_bounded() -> None:
    assert reason(to_lenient_number, "1e999") == "not_finite"
    assert reason(to_lenient_number, "1" * 100) == "not_a_number"


def test_number_in_quotes_is_refused_unless_it_is_allowed() -> None:
    assert reason(to_number, "23.5") == "not_a_number"
    strict, lenient = (
        JsonRowDecoder(["a", "b"], Fields(), [read, read])
        for read in (to_number, to_lenient_number)
    )
    payload = b'{"a": "23,5 bar", "b": 1}'
    assert strict(payload)[0].unread == (Unread(0, "not_a_number"),)
    assert lenient(payload)[0].values == (23.5, 1.0)
    assert PlainDecoder(to_lenient_number)(b"23,5 bar")[0].values == (23.5,)


def test_state_is_read_by_its_text() -> None:
    assert [VALVE(" open "), VALVE("closed"), VALVE(1), VALVE(0.0)] == [1.0, 0.0, 1.0, 0.0]
    assert math.isnan(VALVE(None))


def test_number_stands_for_the_state_of_its_text_before_it_is_a_code() -> None:
    assert [MODES(1), MODES("1.0"), MODES(2.0), MODES("auto")] == [10, 10, 20, 30]
    assert reason(MODES, 30) == "unknown_state"


def test_truth_is_a_state_where_it_has_a_code() -> None:
    assert [TRUTH(True), TRUTH(False), TRUTH("true")] == [1, 0, 1]  # noqa: FBT003  a value
    assert reason(VALVE, True) == "unknown_state"  # noqa: FBT003  a value


@pytest.mark.parametrize("value", ["ajar", "OPEN", "", True, 7, 0.5])
def test_unknown_state_is_told_with_its_text(value: object) -> None:
    with pytest.raises(DecodeError) as caught:
        VALVE(value)
    assert caught.value.reason == "unknown_state"
    assert caught.value.word


def test_unknown_state_is_missing_and_costs_neither_the_row_nor_the_reading() -> None:
    row = JsonRowDecoder(["valve", "p"], Fields(), [VALVE, to_number])
    (reading,) = row(b'{"valve": "ajar", "p": 2.5}')
    assert reading.unread == (Unread(0, "unknown_state", "ajar"),)
    assert math.isnan(reading.values[0])
    assert reading.values[1] == 2.5
    for decode, payload in (
        (PlainDecoder(VALVE), b"ajar"),
        (UmhDecoder(VALVE), b'{"timestamp_ms": 5, "value": "ajar"}'),
        (JsonRowDecoder(["v"], Fields(), [VALVE]), b'{"v": "ajar"}'),
    ):
        (reading,) = decode(payload)
        assert reading.unread == (Unread(0, "unknown_state", "ajar"),)
        assert math.isnan(reading.values[0])


def test_states_are_plain_text_on_a_topic_too() -> None:
    decode = PlainDecoder(VALVE)
    assert [decode(payload)[0].values for payload in (b"open", b"closed\n", b"1")] == [
        (1.0,),
        (0.0,),
        (1.0,),
    ]
    assert PlainDecoder(TRUTH)(b"true")[0].values == (1.0,)


@given(
    st.dictionaries(
        st.text(max_size=20).map(state_text), st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8
    )
)
def test_text_of_a_number_is_a_state_with_that_number(codes: dict[str, float]) -> None:
    states = States(codes)
    for number in codes.values():
        state = states.text(number)
        assert state is not None
        assert states(state) == number


@given(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())
)
def test_reader_answers_any_value_with_a_number_or_a_reason(value: object) -> None:
    for read in (value_reader({}, "strict"), value_reader({}, "lenient"), VALVE, MODES):
        assert outcome(read, value) in {"float", "not_a_number", "not_finite", "unknown_state"}


def outcome(read: ValueReader, value: object) -> str:
    try:
        return type(read(value)).__name__
    except DecodeError as exc:
        return exc.reason
