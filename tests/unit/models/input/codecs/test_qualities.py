"""Qualities: each product's words and codes are read as that product means them."""

from collections.abc import Mapping
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from models.errors import DecodeError
from models.input.codecs.qualities import (
    ALLOWED,
    MAX_ENTRIES,
    NamedMap,
    QualityMap,
    allowed_qualities,
    quality_reader,
)
from models.input.quality import Quality
from tests.kit.wording import names

OWN = {"Running": "GOOD", "0": "BAD", "true": "UNCERTAIN", "": "BAD"}
MAPS: dict[str, NamedMap | Mapping[str, str] | None] = {
    **{name: name for name in get_args(NamedMap)},
    "own": OWN,
    "none": None,
}
BAD_NODE = 0x8034_0000

# By map: what is wanted, and the values that a source writes for it, each named in words.
READ: dict[str, dict[Quality, dict[str, object]]] = {
    "opc_da": {
        Quality.GOOD: {
            "good": 192,
            "good with a local override": 0xD8,
            "good as text": "192",
            "good as a float": 192.0,
            "good as hex text": "0xC0",
            "good as a word": "GOOD",
        },
        Quality.UNCERTAIN: {"uncertain": 64, "last usable value": 0x44, "top of the range": 127},
        Quality.BAD: {"bad": 0, "bad as text": "0", "not connected": 8, "not used by OPC DA": 128},
    },
    "opc_ua": {
        Quality.GOOD: {
            "good": 0,
            "good as text": "0",
            "good as hex text": "0x00000000",
            "good with information": 0x0480,
            "overload": 0x002F_0000,
            "Ignition's good": 192,
            "object without a code": {},
            "object with code 0": {"Code": 0},
            "object with the symbol alone": {"Symbol": "Good"},
            "as Telegraf writes it": "OK (0x0)",
            "symbol": "GoodClamped",
        },
        Quality.UNCERTAIN: {
            "uncertain": 0x4000_0000,
            "object": {"Code": 0x4090_0000, "Symbol": "UncertainLastUsableValue"},
            "symbol": "UncertainInitialValue",
        },
        Quality.BAD: {
            "bad": 0x8000_0000,
            "hex text": "0x80340000",
            "number as text": str(BAD_NODE),
            "with a sign, as Java writes it": BAD_NODE - 2**32,
            "object": {"Code": 2_150_694_912, "Symbol": "BadNoCommunication"},
            "object with the symbol alone": {"Symbol": "BadNoCommunication"},
            "as Telegraf writes it": "The node id is unknown. StatusBadNodeIDUnknown (0x80340000)",
            "Ignition's bad": -2_147_483_136,
            "severity that is not used": 0xFFFF_FFFF,
        },
    },
    "boolean": {
        Quality.GOOD: {"true": True, "as text": "True", "one": 1, "one as text": "1"},
        Quality.UNCERTAIN: {"word": "uncertain"},
        Quality.BAD: {"false": False, "as text": "false", "zero": 0},
    },
    "siemens_qc": {
        Quality.GOOD: {"good": 2, "good cascade": 3, "good cascade as text": "3"},
        Quality.UNCERTAIN: {"uncertain": 1},
        Quality.BAD: {"bad": 0},
    },
    "words": {
        Quality.GOOD: {
            "upper case": "GOOD",
            "with an underscore": " Good_Overload ",
            "with a comma": "Good, local override",
            "with brackets": "good (cascade)",
            "ok": "ok",
            "symbol": "GoodClamped",
        },
        Quality.UNCERTAIN: {
            "with an underscore": "Uncertain_LastKnownValue",
            "stale": "STALE",
            "empty": "",
            "blank": "  ",
        },
        Quality.BAD: {"lower case": "bad", "symbol": "BadNoCommunication", "colon": "Bad: cable"},
    },
    "sparkplug": {
        Quality.GOOD: {"good": 192},
        Quality.UNCERTAIN: {"stale": 500},
        Quality.BAD: {"bad": 0},
    },
    "zero_is_good": {
        Quality.GOOD: {"zero": 0, "zero as text": "0", "zero as a float": 0.0},
        Quality.UNCERTAIN: {"word": "uncertain"},
        Quality.BAD: {"one": 1, "192": 192, "negative": -1, "as text": "7"},
    },
    "own": {
        Quality.GOOD: {"as listed": "Running", "in another case": " RUNNING "},
        Quality.UNCERTAIN: {"truth value": True, "truth value as text": "TRUE"},
        Quality.BAD: {"number": 0, "as text": "0", "as a float": 0.0, "empty": ""},
    },
    "none": {
        Quality.GOOD: {
            "word": "Good_Overload",
            "OPC DA": 192,
            "OPC DA as text": "192",
            "OPC DA with a local override": 0xD8,
            "Ignition's overload": 202,
            "StatusCode": 0x00A2_0000,
            "true": True,
            "as Telegraf writes it": "OK (0x0)",
            "object": {"Code": 0},
        },
        Quality.UNCERTAIN: {
            "OPC DA": 64,
            "OPC DA's last usable value": 0x44,
            "Sparkplug's stale": 500,
            "StatusCode": 0x4090_0000,
            "stale": "STALE",
            "empty": "",
        },
        Quality.BAD: {
            "word": "bad",
            "OPC DA's not connected": 8,
            "StatusCode": BAD_NODE,
            "hex text": "0x80340000",
            "symbol": {"Symbol": "BadNoCommunication"},
            "false": False,
            "severity that is not used": 0xFFFF_FFFF,
        },
    },
}
UNKNOWN: dict[str, dict[str, object]] = {
    "opc_da": {"beyond a byte": 256, "Sparkplug's stale": 500, "negative": -1, "truth value": True},
    "opc_ua": {
        "beyond 32 bits": 1 << 32,
        "below minus 31 bits": -(1 << 31) - 1,
        "OPC DA's uncertain": 64,
        "OPC DA's not connected": 8,
        "Ignition's subcode of bad": 512,
        "object of others": {"code": 0},
        "code as text": {"Code": "0"},
        "truth value": True,
    },
    "boolean": {"two": 2, "192": 192},
    "siemens_qc": {"four": 4, "192": 192, "truth value": False},
    "words": {
        "goodness": "goodness",
        "goodness in capitals": "GOODNESS",
        "badge": "Badge",
        "not good": "not good",
        "okay": "okay",
        "staleness": "staleness",
        "number": 192,
        "truth value": True,
    },
    "sparkplug": {"one": 1, "Ignition's own": 515},
    "zero_is_good": {"truth value": False, "object": {}, "fraction": 0.5},
    "own": {"not listed": "Stopped", "word": "GOOD", "number": 1, "object": {}, "list": ["0"]},
    "none": {
        "beyond 32 bits": 1 << 32,
        "negative": -1,
        "fraction": 192.5,
        "word": "fine",
        "goodness": "goodness",
        "list": [192],
        "empty object": {},
    },
}
AMBIGUOUS: dict[str, object] = {
    "0, bad in OPC DA and good in OPC UA": 0,
    "1, uncertain for Siemens and good as a truth value": 1,
    "2, good for Siemens and bad in OPC DA": 2,
    "3, good for Siemens and bad in OPC DA": 3,
    "3 as text": "3",
    "0 as hex text": "0x0",
    "0 as a float": 0.0,
    "128, good in PCS 7": 128,
    "257, uncertain in Ignition": 257,
    "515, bad in Ignition": 515,
}


def cases(
    table: Mapping[str, Mapping[Quality, Mapping[str, object]]],
) -> dict[str, tuple[str, object, Quality]]:
    return {
        f"{chosen}: {said} is {quality.name}": (chosen, value, quality)
        for chosen, by_quality in table.items()
        for quality, values in by_quality.items()
        for said, value in values.items()
    }


@pytest.mark.parametrize(("chosen", "value", "wanted"), cases(READ).values(), ids=cases(READ))
def test_quality_is_read_as_its_source_means_it(
    chosen: str, value: object, wanted: Quality
) -> None:
    assert quality_reader(MAPS[chosen])(value) is wanted


def test_every_map_has_cases() -> None:
    assert READ.keys() == UNKNOWN.keys() == MAPS.keys()
    assert {*ALLOWED} == {*get_args(NamedMap), None}


@pytest.mark.parametrize("chosen", MAPS)
def test_quality_that_is_not_stated_is_good(chosen: str) -> None:
    assert quality_reader(MAPS[chosen])(None) is Quality.GOOD


STRANGE = {
    f"{chosen}: {said}": (chosen, value)
    for chosen, values in UNKNOWN.items()
    for said, value in values.items()
}


@pytest.mark.parametrize(("chosen", "value"), STRANGE.values(), ids=STRANGE)
def test_quality_of_another_product_is_unknown(chosen: str, value: object) -> None:
    with pytest.raises(DecodeError, match="quality_unknown"):
        quality_reader(MAPS[chosen])(value)


@pytest.mark.parametrize("value", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_quality_with_opposite_meanings_is_not_guessed(value: object) -> None:
    with pytest.raises(DecodeError, match="quality_ambiguous"):
        quality_reader(None)(value)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 600)
    | st.floats()
    | st.text()
    | st.from_regex(r"(?i)\A(good|bad|ok|stale|uncertain|0x[0-9a-f]{1,9}).{0,3}\Z"),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["Code", "Symbol", "x"]), inner, max_size=2)
    ),
)


@pytest.mark.parametrize("chosen", MAPS)
@given(value=anything)
def test_nothing_raises_anything_but_a_reason(chosen: str, value: object) -> None:
    try:
        outcome: object = quality_reader(MAPS[chosen])(value)
    except DecodeError as exc:
        outcome = exc.reason
    reasons = {"quality_unknown", *["quality_ambiguous"][: chosen == "none"]}
    assert isinstance(outcome, Quality) or outcome in reasons


MISTAKES = {
    "strange name": ("opcda", ("opc_da", "siemens_qc")),
    "number": (7, ("opc_da",)),
    "list": (["GOOD"], ("opc_da",)),
    "no entry": ({}, ("0 entries", "1 to 100")),
    "too many entries": ({str(n): "GOOD" for n in range(MAX_ENTRIES + 1)}, ("101 entries",)),
    "strange quality": ({"0": "fine"}, ("'0'", "'fine'", "GOOD, UNCERTAIN, BAD")),
    "no quality": ({"0": 1}, ("'0'", "GOOD, UNCERTAIN, BAD")),
    "entries that are the same": ({"Ok": "GOOD", "OK ": "BAD"}, ("the same",)),
}


@pytest.mark.parametrize(("given_map", "said"), MISTAKES.values(), ids=MISTAKES)
def test_map_that_cannot_be_meant_is_told_in_one_line(
    given_map: object, said: tuple[str, ...]
) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(QualityMap).validate_python(given_map)
    (error,) = caught.value.errors()
    assert names(error["msg"], *said)


def test_what_a_map_reads_is_said_in_words() -> None:
    assert names(allowed_qualities("siemens_qc"), "0", "1", "2", "3")
    assert names(allowed_qualities({"Running": "GOOD"}), "Running", "GOOD")
    assert names(allowed_qualities(None), "words", "192")
