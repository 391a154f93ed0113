"""Every payload format: good input becomes readings, bad input becomes a reason, nothing else."""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DecodeError, ReadingError
from models.input.admission import TimeBounds
from models.input.codecs.document import MAX_DEPTH, parse
from models.input.codecs.json_row import JsonRowDecoder
from models.input.codecs.reading import Decoder, Fields, Reading
from models.input.codecs.scalar import MAX_PLAIN_BYTES, PlainDecoder, UmhDecoder, scalar_decoder
from models.input.codecs.thingsboard import MAX_ENTRIES, ThingsBoardDecoder
from models.input.codecs.values import Unread
from models.input.quality import Quality

ROW = JsonRowDecoder(["a", "b"], Fields())
FULL = JsonRowDecoder(["a", "b"], Fields(timestamp="ts", quality="q", sequence="n"))
NESTED = JsonRowDecoder(["x.y.a"], Fields(timestamp="meta.time", timestamp_unit="iso8601"))
MS = 1_000_000

DECODERS: dict[str, Decoder] = {
    "json": FULL,
    "json, one path": NESTED,
    "json, local time and Siemens' quality": JsonRowDecoder(
        ["a", "b"],
        Fields(
            timestamp="t",
            timestamp_unit="iso8601",
            timezone="Europe/Berlin",
            quality="q",
            quality_map="siemens_qc",
        ),
    ),
    "json, a table of qualities": JsonRowDecoder(
        ["a"], Fields(quality="q", quality_map={"x": "GOOD", "192": "BAD"})
    ),
    "json, paths of every kind": JsonRowDecoder(
        ["a[0]", "values[-1].b", "x[?a=1]", '"a.b"', "[0].v"],
        Fields(timestamp="x[?n=2].t", quality="q[1]", sequence='"n"'),
    ),
    "scalar": PlainDecoder(),
    "scalar with paths": scalar_decoder("v", Fields(timestamp="t", quality="q")),
    "umh": UmhDecoder(),
    "thingsboard": ThingsBoardDecoder(["a", "b"]),
}


def values(readings: Sequence[Reading]) -> list[list[float | None]]:
    """Values with None for NaN, which equals nothing."""
    return [[None if math.isnan(v) else v for v in one.values] for one in readings]


def outcome(decode: Decoder, payload: bytes) -> Sequence[Reading] | str:
    """The readings of a payload, or the reason why there are none."""
    try:
        return decode(payload)
    except ReadingError as exc:
        return exc.reason


def reason(decode: Decoder, payload: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        decode(payload)
    return caught.value.reason


BAD_ROWS = {
    "empty": (b"", "empty"),
    "blank": (b" \n", "not_json"),
    "cut off": (b'{"a": 1.0, "b"', "not_json"),
    "more than one": (b'{"a": 1.0, "b": 2.0}{}', "not_json"),
    "byte-order mark": (b'\xef\xbb\xbf{"a": 1.0, "b": 2.0}', "not_json"),
    "invalid UTF-8": (b'{"a": 1.0, "b": 2.0, "c": "\xff"}', "not_json"),
    "UTF-16": ('{"a": 1.0, "b": 2.0}'.encode("utf-16"), "not_json"),
    "lone surrogate": (b'{"a": 1.0, "b": 2.0, "c": "\\ud800"}', "not_json"),
    "comment": (b'{"a": 1.0 /* bar */, "b": 2.0}', "not_json"),
    "leading zero": (b'{"a": 01, "b": 2.0}', "not_json"),
    "huge integer": (b'{"a": %s, "b": 2.0}' % (b"9" * 5000), "not_finite"),
    "string for every number": (b'{"a": "1.0", "b": "x"}', "not_a_number"),
    "string, and no other": (b'{"a": "1.0"}', "not_a_number"),
    "NaN for every number": (b'{"a": NaN, "b": Infinity}', "not_finite"),
    "number": (b"1.0", "not_an_object"),
    "null": (b"null", "not_an_object"),
    "list": (b'[{"a": 1.0, "b": 2.0}]', "not_an_object"),
    "no signal": (b'{"c": 1.0}', "no_signal"),
    "no key": (b"{}", "no_signal"),
    "1 MB of lists": (b"[" * (1 << 20), "too_deep"),
    "1 MB of closed lists": (b"[" * (1 << 19) + b"]" * (1 << 19), "too_deep"),
    "1 MB of objects": (b'{"a":' * (1 << 18), "too_deep"),
    "lists beyond the limit": (
        b'{"a": 1.0, "b": 2.0, "c": %s1%s}' % (b"[" * (MAX_DEPTH + 1), b"]" * (MAX_DEPTH + 1)),
        "too_deep",
    ),
}

DUPLICATE_KEYS = {
    "side by side": b'{"a": 1.0, "b": 2.0, "a": 3.0}',
    "equal values": b'{"a": 1.0, "b": 2.0, "a": 1.0}',
    "blank before the colon": b'{"a" : 1.0, "b"\n: 2.0, "a"\t: 3.0}',
    "written as an escape": b'{"a": 1.0, "b": 2.0, "\\u0061": 3.0}',
    "beside a colon in a text": b'{"a": 1.0, "b": 2.0, "c": "x:y", "a": 3.0}',
    "beside a colon in a key": b'{"a": 1.0, "b": 2.0, "x:y": "", "a": 3.0}',
    "masked by an escaped colon": b'{"a": 1.0, "b": 2.0, "c": "\\u003a", "a": 3.0}',
    "masked by an escaped colon in a key": b'{"a": 1.0, "b": 2.0, "\\u003A": 0, "a": 3.0}',
}

HALF_ROWS = {
    "NaN": (b'{"a": NaN, "b": 2.0}', "not_finite"),
    "infinity": (b'{"a": -Infinity, "b": 2.0}', "not_finite"),
    "1e999": (b'{"a": 1e999, "b": 2.0}', "not_finite"),
    "string for a number": (b'{"a": "1.0", "b": 2.0}', "not_a_number"),
    "object for a number": (b'{"a": {}, "b": 2.0}', "not_a_number"),
    "list for a number": (b'{"a": [1.0], "b": 2.0}', "not_a_number"),
    "a key twice": (b'{"a": 1.0, "b": 2.0, "a": 3.0}', "duplicate_key"),
    "a key twice, once escaped": (b'{"a": 1.0, "b": 2.0, "\\u0061": 3.0}', "duplicate_key"),
}

ELSEWHERE = {
    "NaN": b'{"a": 1.0, "b": 2.0, "c": NaN}',
    "a number too large": b'{"a": 1.0, "b": 2.0, "c": [{"d": 1e999}]}',
    "a key twice below": b'{"a": 1.0, "b": 2.0, "c": {"d": 1, "d": 1}}',
    "a key twice in a list": b'{"a": 1.0, "b": 2.0, "c": [[{"d": 1, "d": 1}]]}',
    "a key twice beside": b'{"a": 1.0, "b": 2.0, "c": "x:y", "c": ""}',
    "the empty key twice": b'{"": 1, "a": 1.0, "b": 2.0, "": 1}',
}

SINGLE_KEYS = {
    "escapes": b'{"a": 1.0, "b": 2.0, "c": "\\"\\u0041\\\\"}',
    "escaped colon": b'{"a": 1.0, "b": 2.0, "c": "\\u003a"}',
    "colons": b'{"a": 1.0, "b": 2.0, "c:d": ":::", "e": [":", {"f:": ":"}]}',
    "same key at another depth": b'{"a": 1.0, "b": 2.0, "c": {"a": 1}, "d": {"a": 1}}',
    "as deep as is allowed": b'{"a": 1.0, "b": 2.0, "c": %s%s}'
    % (b"[" * MAX_DEPTH, b"]" * MAX_DEPTH),
}


@pytest.mark.parametrize(("payload", "wanted"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_row_is_refused_with_its_reason(payload: bytes, wanted: str) -> None:
    assert reason(ROW, payload) == wanted


@pytest.mark.parametrize("payload", DUPLICATE_KEYS.values(), ids=DUPLICATE_KEYS)
def test_duplicate_key_is_never_read(payload: bytes) -> None:
    with pytest.raises(DecodeError, match="duplicate_key"):
        parse(payload)
    (reading,) = ROW(payload)
    assert values([reading]) == [[None, 2.0]]
    assert reading.unread == (Unread(0, "duplicate_key"),)


@pytest.mark.parametrize(("payload", "wanted"), HALF_ROWS.values(), ids=HALF_ROWS)
def test_value_that_cannot_be_read_does_not_cost_the_others(payload: bytes, wanted: str) -> None:
    (reading,) = ROW(payload)
    assert values([reading]) == [[None, 2.0]]
    assert reading.unread == (Unread(0, wanted),)


@pytest.mark.parametrize("payload", ELSEWHERE.values(), ids=ELSEWHERE)
def test_mistake_in_a_part_that_nobody_reads_costs_nothing(payload: bytes) -> None:
    (reading,) = ROW(payload)
    assert (values([reading]), reading.unread) == ([[1.0, 2.0]], ())


def test_row_with_a_number_that_is_not_finite_is_as_strict_in_everything_else() -> None:
    assert reason(ROW, b'{"a": NaN, "b": 2.0, "c": "\\ud800"}') == "not_finite"
    assert reason(ROW, b'{"a": NaN, "b": 2.0, "c": "\xff"}') == "not_finite"
    deep = b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)
    assert reason(ROW, b'{"a": NaN, "b": 2.0, "c": %s}' % deep) == "too_deep"


@pytest.mark.parametrize(
    ("decode", "payload"),
    [
        pytest.param(ROW, b'{"a": true, "b": false}', id="json"),
        pytest.param(ROW, b'{"a": 1, "b": false}', id="json, beside a number"),
        pytest.param(
            JsonRowDecoder(["a.x", "b"], Fields()), b'{"a": {"x": true}, "b": false}', id="nested"
        ),
        pytest.param(ThingsBoardDecoder(["a", "b"]), b'{"a": true, "b": false}', id="thingsboard"),
    ],
)
def test_true_is_1_and_false_is_0_in_a_row(decode: Decoder, payload: bytes) -> None:
    assert values(decode(payload)) == [[1.0, 0.0]]
    assert {type(value) for one in decode(payload) for value in one.values} <= {int, float}


@pytest.mark.parametrize(
    ("decode", "payload"),
    [
        pytest.param(PlainDecoder(), b"%s", id="plain text"),
        pytest.param(scalar_decoder("", Fields()), b'{"value": %s}', id="scalar"),
        pytest.param(UmhDecoder(), b'{"value": %s, "timestamp_ms": 5}', id="umh"),
    ],
)
def test_true_is_1_and_false_is_0_alone(decode: Decoder, payload: bytes) -> None:
    assert values(decode(payload % b"true")) == [[1.0]]
    assert values(decode(payload % b"false")) == [[0.0]]


@pytest.mark.parametrize("payload", SINGLE_KEYS.values(), ids=SINGLE_KEYS)
def test_text_that_only_looks_like_a_duplicate_key_is_read(payload: bytes) -> None:
    assert values(ROW(payload)) == [[1.0, 2.0]]


@given(
    document=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    ),
    ascii_only=st.booleans(),
)
def test_document_without_a_duplicate_key_is_never_refused(
    document: object, *, ascii_only: bool
) -> None:
    row = {"a": 1.0, "b": 2.0, "rest": document}
    payload = json.dumps(row, ensure_ascii=ascii_only).encode()
    assert values(ROW(payload)) == [[1.0, 2.0]]


@pytest.mark.parametrize("name", DECODERS)
@given(payload=st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_raise_anything_but_a_reading_error(name: str, payload: bytes) -> None:
    assert is_sound(outcome(DECODERS[name], payload))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["2026-11-23T10:00:00Z", "Good", "bad", 192, 1 << 31, 1_700_000_000_000]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*"abntvxyq", "ts", "values", "value", "timestamp_ms", "meta", "time"]),
            inner,
        )
    ),
)


@pytest.mark.parametrize("name", DECODERS)
@given(document=json_values)
def test_no_json_raises_anything_but_a_reading_error(name: str, document: object) -> None:
    assert is_sound(outcome(DECODERS[name], json.dumps(document).encode()))


def is_sound(readings: Sequence[Reading] | str) -> bool:
    """Whether an outcome is a known reason, or readings that a pipeline can take."""
    if isinstance(readings, str):
        return readings.replace("_", "").isalpha()
    return bool(readings) and all(is_usable(reading) for reading in readings)


def is_usable(reading: Reading) -> bool:
    return (
        all(type(value) in (float, int) and not math.isinf(value) for value in reading.values)
        and (reading.time_ns is None or type(reading.time_ns) is int)
        and isinstance(reading.quality, Quality)
    )


def test_row_is_read_by_path_in_the_order_of_the_channels() -> None:
    (reading,) = JsonRowDecoder(["x.b", "a"], Fields())(
        b'{"a": 1, "x": {"b": 2.5, "a": 9}, "c": "text"}'
    )
    assert reading == Reading(None, (2.5, 1.0), Quality.GOOD, "")


def test_missing_signal_and_null_are_missing_values() -> None:
    assert values(ROW(b'{"a": 1.0}')) == [[1.0, None]]
    assert values(ROW(b'{"a": 1.0, "b": null}')) == [[1.0, None]]
    assert values(JsonRowDecoder(["a.b", "c"], Fields())(b'{"a": 3, "c": 1.0}')) == [[None, 1.0]]


def test_row_of_nulls_says_that_the_source_has_no_values_now() -> None:
    assert values(ROW(b'{"a": null}')) == [[None, None]]
    assert values(scalar_decoder("", Fields())(b'{"value": null}')) == [[None]]
    assert reason(scalar_decoder("", Fields()), b'{"val": null}') == "no_signal"


def test_time_quality_and_position_are_read() -> None:
    (reading,) = FULL(b'{"a": 1.0, "b": 2.0, "ts": 1700000000000, "q": "Uncertain", "n": 17}')
    assert reading == Reading(1_700_000_000_000 * MS, (1.0, 2.0), Quality.UNCERTAIN, "17")


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ('"q": 192, "n": 1', "time_missing"),
        ('"ts": null, "n": 1', "time_missing"),
        ('"ts": "yesterday", "n": 1', "time_malformed"),
        ('"ts": true, "n": 1', "time_malformed"),
        ('"ts": [1], "n": 1', "time_malformed"),
        ('"ts": 1, "q": "fine", "n": 1', "quality_unknown"),
        ('"ts": 1, "q": 1, "n": 1', "quality_ambiguous"),
        ('"ts": 1, "q": -1, "n": 1', "quality_unknown"),
        ('"ts": 1, "q": 192.5, "n": 1', "quality_unknown"),
        ('"ts": 1, "q": {}, "n": 1', "quality_unknown"),
        ('"ts": 1', "sequence_missing"),
        ('"ts": 1, "n": null', "sequence_missing"),
        ('"ts": 1, "n": []', "sequence_malformed"),
        ('"ts": 1, "n": false', "sequence_malformed"),
    ],
)
def test_wrong_time_quality_or_sequence_has_its_reason(fields: str, wanted: str) -> None:
    assert reason(FULL, b'{"a": 1.0, "b": 2.0, %s}' % fields.encode()) == wanted


def test_times_of_1970_and_of_next_year_are_implausible() -> None:
    bounds = TimeBounds(earliest_ns=946_684_800 * 10**9, max_future_ns=60 * 10**9)
    now = datetime.now(UTC)
    now_ns = round(now.timestamp() * 10**9)
    bounds.check(now_ns, now_ns)
    bounds.check(now_ns + 60 * 10**9, now_ns)
    for time_ns, wanted in (
        (0, "time_past"),
        (-1, "time_past"),
        (now_ns + 61 * 10**9, "time_future"),
        (round(now.replace(year=now.year + 1, day=1).timestamp()) * 10**9, "time_future"),
        (10**300, "time_future"),
    ):
        with pytest.raises(DecodeError, match=wanted):
            bounds.check(time_ns, now_ns)


def test_clock_that_was_never_set_judges_no_source_but_the_absurd_one() -> None:
    bounds = TimeBounds(earliest_ns=946_684_800 * 10**9, max_future_ns=60 * 10**9)
    bounds.check(1_760_000_000 * 10**9, now_ns=12)
    for time_ns, wanted in ((0, "time_past"), (10**300, "time_future")):
        with pytest.raises(DecodeError, match=wanted):
            bounds.check(time_ns, now_ns=12)


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [(b"23.5", 23.5), (b" -1e3\r\n", -1000.0), (b"7", 7.0), (b"+.5", 0.5)],
)
def test_plain_number_is_read(payload: bytes, wanted: float) -> None:
    assert PlainDecoder()(payload) == (Reading(None, (wanted,)),)


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        (b"", "empty"),
        (b"  ", "not_a_number"),
        (b"on", "not_a_number"),
        (b"null", "not_a_number"),
        (b"0x10", "not_a_number"),
        (b"1_000", "not_a_number"),
        (b"23,5", "not_a_number"),
        (b"23.5 bar", "not_a_number"),
        (b'"23.5"', "not_a_number"),
        pytest.param("٢٣".encode(), "not_a_number", id="digits of another script"),
        pytest.param(b"\xff", "not_a_number", id="no text"),
        pytest.param(b"1" * (MAX_PLAIN_BYTES + 1), "not_a_number", id="too many digits"),
        pytest.param(b"[" * (1 << 20), "not_a_number", id="a million brackets"),
        (b"nan", "not_finite"),
        (b"-inf", "not_finite"),
        (b"1e999", "not_finite"),
    ],
)
def test_what_is_no_plain_number_has_its_reason(payload: bytes, wanted: str) -> None:
    assert reason(PlainDecoder(), payload) == wanted


def test_scalar_is_read_from_an_object_by_its_paths() -> None:
    decode = scalar_decoder("d.v", Fields(timestamp="t", timestamp_unit="s"))
    assert decode(b'{"d": {"v": 1.5}, "t": 10}') == (Reading(10 * 10**9, (1.5,)),)


def test_umh_takes_exactly_its_two_keys() -> None:
    assert UmhDecoder()(b'{"timestamp_ms": 5, "value": 2}') == (Reading(5 * MS, (2.0,)),)
    assert UmhDecoder()(b'{"timestamp_ms": 5.0, "value": 2}') == (Reading(5 * MS, (2.0,)),)
    assert values(UmhDecoder()(b'{"value": null, "timestamp_ms": 5}')) == [[None]]
    for payload in (
        b'{"value": 2}',
        b'{"timestamp_ms": 5, "value": 2, "unit": "bar"}',
        b'{"timestamp_ms": 5.5, "value": 2}',
        b'{"timestamp_ms": "5", "value": 2}',
        b'{"timestamp_ms": true, "value": 2}',
    ):
        assert reason(UmhDecoder(), payload) == "unknown_layout"
    assert reason(UmhDecoder(), b"2") == "not_an_object"
    assert reason(UmhDecoder(), b'{"timestamp_ms": 5, "value": "2"}') == "not_a_number"


def test_thingsboard_takes_one_row_or_several_with_or_without_time() -> None:
    decode = ThingsBoardDecoder(["a", "b"])
    assert decode(b'{"a": 1.0, "b": 2.0}') == [Reading(None, (1.0, 2.0))]
    assert decode(b'{"ts": 5, "values": {"a": 1.0, "b": 2.0}}') == [Reading(5 * MS, (1.0, 2.0))]
    several = (
        b'[{"ts": 9, "values": {"a": 1.0, "b": 2.0}}, {"ts": 5, "values": {"a": 3.0, "b": 4.0}}]'
    )
    assert decode(several) == [Reading(5 * MS, (3.0, 4.0)), Reading(9 * MS, (1.0, 2.0))]


def test_thingsboard_entry_of_other_signals_is_passed_over() -> None:
    decode = ThingsBoardDecoder(["a"])
    payload = b'[{"ts": 5, "values": {"door": true}}, {"ts": 9, "values": {"a": 1.0}}]'
    assert decode(payload) == [Reading(9 * MS, (1.0,))]
    assert reason(decode, b'[{"door": true}]') == "no_signal"


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        (b"[]", "not_an_object"),
        (b"[[]]", "not_an_object"),
        (b'{"ts": 5, "values": 1}', "not_an_object"),
        (b'{"ts": 5}', "not_an_object"),
        (b'{"ts": "noon", "values": {"a": 1.0}}', "time_malformed"),
        (b'{"ts": null, "values": {"a": 1.0}}', "time_missing"),
        (b'[{"a": 1.0}, {"a": "1.0"}]', "not_a_number"),
        (b"[%s]" % b",".join([b"{}"] * (MAX_ENTRIES + 1)), "too_many_entries"),
    ],
)
def test_what_thingsboard_does_not_send_has_its_reason(payload: bytes, wanted: str) -> None:
    assert reason(ThingsBoardDecoder(["a"]), payload) == wanted
