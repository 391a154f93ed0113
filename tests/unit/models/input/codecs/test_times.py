"""Source times: every form that is documented is read to the nanosecond, and nothing is guessed."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import NamedTuple, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DecodeError
from models.input.codecs.times import TimeUnit, to_time_ns, zone_of
from tests.kit.children import ROOT

AT_S = 1_760_004_672  # 2025-10-09T10:11:12Z
AT_NS = AT_S * 10**9
BERLIN = zone_of("Europe/Berlin")


class Case(NamedTuple):
    """A value as it stands in a payload, its unit, and the nanoseconds that are wanted."""

    value: object
    unit: TimeUnit
    wanted: int


NUMBERS = {
    "nanoseconds": Case(AT_NS + 1, "ns", AT_NS + 1),
    "microseconds": Case(AT_S * 10**6 + 1, "us", AT_NS + 1_000),
    "milliseconds": Case(AT_S * 10**3 + 1, "ms", AT_NS + 1_000_000),
    "seconds": Case(AT_S, "s", AT_NS),
    "half a second": Case(AT_S + 0.5, "s", AT_NS + 500_000_000),
    "milliseconds as text": Case("1760000000000", "ms", 1_760_000_000 * 10**9),
    "nanoseconds as text": Case(str(AT_NS + 1), "ns", AT_NS + 1),
    "seconds as text with nine digits behind the point": Case(
        f"{AT_S}.123456789", "s", AT_NS + 123_456_789
    ),
    "seconds as text with ten digits behind the point": Case(
        f"{AT_S}.1234567899", "s", AT_NS + 123_456_789
    ),
    "seconds before 1970 as text": Case("-1.5", "s", -1_500_000_000),
}
TEXTS = {
    "UTC": ("2025-10-09T10:11:12Z", 0),
    "a lower-case z": ("2025-10-09T10:11:12z", 0),
    "a lower-case t and z": ("2025-10-09t10:11:12z", 0),
    "UTC as a word": ("2025-10-09 10:11:12 UTC", 0),
    "UTC as a word behind a fraction": ("2025-10-09 10:11:12.5 UTC", 500_000_000),
    "no offset": ("2025-10-09T10:11:12", 0),
    "slashes": ("2025/10/09 10:11:12", 0),
    "slashes and an offset": ("2025/10/09 12:11:12+02:00", 0),
    "slashes and UTC as a word": ("2025/10/09 10:11:12.25 UTC", 250_000_000),
    "an offset": ("2025-10-09T12:11:12+02:00", 0),
    "an offset without a colon": ("2025-10-09T12:11:12+0200", 0),
    "basic form": ("20251009T101112Z", 0),
    "one digit": ("2025-10-09T10:11:12.1Z", 100_000_000),
    "three digits": ("2025-10-09T10:11:12.123Z", 123_000_000),
    "three digits and an offset": ("2025-10-09T12:11:12.123+02:00", 123_000_000),
    "two digits and an offset": ("2025-10-09T12:11:12.12+02:00", 120_000_000),
    "six digits and an offset": ("2025-10-09T12:11:12.123456+02:00", 123_456_000),
    "seven digits": ("2025-10-09T10:11:12.1234567Z", 123_456_700),
    "seven digits of which only the last is not zero": ("2025-10-09T10:11:12.0000001Z", 100),
    "seven digits and an offset": ("2025-10-09T12:11:12.1234567+02:00", 123_456_700),
    "seven digits behind a comma": ("2025-10-09T10:11:12,1234567Z", 123_456_700),
    "seven digits and slashes": ("2025/10/09 10:11:12.1234567", 123_456_700),
    "nine digits behind a basic time": ("2025-10-09T101112.123456789Z", 123_456_789),
    "nine digits behind a basic date": ("20251009T10:11:12.123456789Z", 123_456_789),
    "seven digits in basic form": ("20251009T101112.1234567Z", 123_456_700),
    "nine digits": ("2025-10-09T10:11:12.123456789Z", 123_456_789),
    "nine digits without an offset": ("2025-10-09T10:11:12.123456789", 123_456_789),
    "ten digits, cut below the nanosecond": ("2025-10-09T10:11:12.1234567899Z", 123_456_789),
}
MALFORMED: dict[str, tuple[object, TimeUnit]] = {
    "day or month first with slashes": ("09/10/2025 10:11:12", "iso8601"),
    "day or month first with dashes": ("09-10-2025 10:11:12", "iso8601"),
    "day or month first with dots": ("09.10.2025 10:11:12", "iso8601"),
    "two digits of the year": ("25/10/09 10:11:12", "iso8601"),
    "slash and dash": ("2025/10-09 10:11:12", "iso8601"),
    "an abbreviation of a zone": ("2025-10-09 10:11:12 CST", "iso8601"),
    "an hour of twelve": ("2025-10-09 10:11:12 PM", "iso8601"),
    "month 13": ("2026-13-01", "iso8601"),
    "hour 25": ("2026-01-01T25:00", "iso8601"),
    "empty": ("", "iso8601"),
    "a word": ("yesterday", "iso8601"),
    "a number instead of a text": (1_700_000_000, "iso8601"),
    "a fraction instead of a text": (1_700_000_000.5, "iso8601"),
    "milliseconds as text instead of a date": ("1760000000000", "iso8601"),
    "a date instead of a number": ("2025-10-09T10:11:12Z", "ms"),
    "empty instead of a number": ("", "ms"),
    "a number with an exponent as text": ("1.76e12", "ms"),
    "a number with a blank": (" 1760000000000", "ms"),
    "a number with underscores": ("1_760_000_000_000", "ms"),
    "digits of another script": ("١٧٦٠", "ms"),
    "infinite as text": ("inf", "s"),
    "NaN": (float("nan"), "s"),
    "infinite": (float("inf"), "s"),
    "true": (True, "s"),
    "a list": ([1], "s"),
    "an object": ({}, "iso8601"),
}


@pytest.mark.parametrize("case", NUMBERS.values(), ids=NUMBERS)
def test_number_is_read_in_its_unit(case: Case) -> None:
    assert to_time_ns(case.value, case.unit) == case.wanted


@pytest.mark.parametrize(("text", "wanted"), TEXTS.values(), ids=TEXTS)
def test_text_is_read_to_the_nanosecond(text: str, wanted: int) -> None:
    assert to_time_ns(text, "iso8601") - AT_NS == wanted


@pytest.mark.parametrize(("value", "unit"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_time_or_could_be_two_is_malformed(value: object, unit: TimeUnit) -> None:
    with pytest.raises(DecodeError, match="time_malformed"):
        to_time_ns(value, unit)


@pytest.mark.parametrize("unit", get_args(TimeUnit))
def test_null_is_a_missing_time(unit: TimeUnit) -> None:
    with pytest.raises(DecodeError, match="time_missing"):
        to_time_ns(None, unit)


LOCAL = {
    "summer": ("2025-10-09T12:11:12", "2025-10-09T10:11:12"),
    "winter": ("2025-01-09T12:11:12", "2025-01-09T11:11:12"),
    "slashes": ("2025/10/09 12:11:12.1234567", "2025-10-09T10:11:12.1234567"),
    "the hour that there is twice, the first time of it": (
        "2025-10-26T02:30:00",
        "2025-10-26T00:30:00",
    ),
    "the hour after it": ("2025-10-26T03:00:00", "2025-10-26T02:00:00"),
    "the hour that is skipped": ("2025-03-30T02:30:00", "2025-03-30T01:30:00"),
    "the hour after that": ("2025-03-30T03:30:00", "2025-03-30T01:30:00"),
}


@pytest.mark.parametrize(("local", "utc"), LOCAL.values(), ids=LOCAL)
def test_text_without_an_offset_is_read_in_the_time_zone(local: str, utc: str) -> None:
    assert to_time_ns(local, "iso8601", BERLIN) == to_time_ns(utc, "iso8601")


@pytest.mark.parametrize("text", ["2025-10-09T10:11:12Z", "2025-10-09 10:11:12 UTC"])
def test_text_that_names_its_offset_is_not_read_in_the_time_zone(text: str) -> None:
    assert to_time_ns(text, "iso8601", BERLIN) == AT_NS


@given(moment=st.datetimes(), below_us=st.integers(0, 999))
def test_every_time_of_nine_digits_is_read_exactly(moment: datetime, below_us: int) -> None:
    passed = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    whole_us = (passed.days * 86_400 + passed.seconds) * 10**6 + passed.microseconds
    text = f"{moment.isoformat(timespec='microseconds')}{below_us:03}Z"
    assert to_time_ns(text, "iso8601") == whole_us * 1000 + below_us


anything = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text("0123456789-+:/.,TZz UC", max_size=40)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(), st.integers(), max_size=2)
)


@given(value=anything, unit=st.sampled_from(get_args(TimeUnit)), is_local=st.booleans())
def test_nothing_raises_anything_but_a_reason(
    value: object, unit: TimeUnit, *, is_local: bool
) -> None:
    try:
        outcome: object = to_time_ns(value, unit, BERLIN if is_local else UTC)
    except DecodeError as exc:
        outcome = exc.reason
    assert type(outcome) is int or outcome == (
        "time_missing" if value is None else "time_malformed"
    )


@pytest.mark.parametrize("name", ["Mars/Olympus", "Europe", "../etc/passwd", "", "CEST", "a" * 300])
def test_zone_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="Europe/Berlin"):
        zone_of(name)


def test_machine_without_time_zones_is_told_what_to_install() -> None:
    program = (
        "import sys; sys.modules['tzdata'] = None\n"
        "from models.input.codecs.times import zone_of\n"
        "zone_of('UTC'); zone_of('Asia/Kathmandu')"
    )
    command = [sys.executable, "-c", program]
    environment = os.environ | {"PYTHONTZPATH": ""}
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert ended.stderr.splitlines()[-1].startswith("ValueError: this machine has no time zones")
    assert "install tzdata" in ended.stderr
