"""Qualities: the words and codes that plants use become good, uncertain or bad.

Products give the same number opposite meanings: 0 is bad in OPC DA and good in OPC UA. So an input
names its source's way, or lists the values itself; without either, only what has one meaning is
read.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, Field

from models.errors import DecodeError
from models.input.quality import NAMES, Quality

NamedMap = Literal[
    "opc_da", "opc_ua", "boolean", "siemens_qc", "words", "sparkplug", "zero_is_good"
]
ALLOWED: Final[Mapping[NamedMap | None, str]] = {
    "opc_da": "whole numbers from 0 to 255 (192 good, 64 uncertain, 0 bad) and words",
    "opc_ua": "StatusCodes (as a number, as 0x80340000, as an object with Code) and words",
    "boolean": "true and false, 1 and 0, and words",
    "siemens_qc": "0 (bad), 1 (uncertain), 2 and 3 (good), and words",
    "words": "good, ok, uncertain, stale, bad, and names such as Good_Overload and BadTimeout",
    "sparkplug": "192 (good), 500 (stale, hence uncertain), 0 (bad), and words",
    "zero_is_good": "whole numbers (0 good, any other bad) and words",
    None: "words, true and false, 500, StatusCodes from 65536, numbers from 4 to 127 and from 192 "
    "to 255 as in OPC DA",
}
"""What is read under each name, in words for the operator; under None without a `quality_map`."""
MAX_ENTRIES: Final = 100
"""Longest table of an input's own."""


def _checked(value: object) -> object:
    """A name or a table as it was written; says in one sentence what is wrong with another."""
    if isinstance(value, Mapping):
        _check_table(value)
    elif value not in get_args(NamedMap):
        names = ", ".join(get_args(NamedMap))
        raise ValueError(f"allowed are {names}, or a table such as {{ running = 'GOOD' }}")
    return value


def _check_table(table: Mapping[Any, Any]) -> None:
    if not 1 <= len(table) <= MAX_ENTRIES:
        raise ValueError(f"the table has {len(table)} entries; allowed are 1 to {MAX_ENTRIES}")
    for written, quality in table.items():
        if quality not in NAMES:
            raise ValueError(f"'{written}' is {quality!r}; allowed are {', '.join(NAMES)}")
    if len({_key(str(written)) for written in table}) < len(table):
        raise ValueError(
            "two entries are the same but for blanks and upper or lower case, which do not count"
        )


QualityMap = Annotated[
    NamedMap
    | Annotated[
        dict[str, Literal["GOOD", "UNCERTAIN", "BAD"]],
        Field(min_length=1, max_length=MAX_ENTRIES),
    ],
    BeforeValidator(_checked),
]
"""How an input's qualities are read: by a name, or by a table from a value as text to a quality."""

# A whole word, or one with more behind it: Good_Overload, Uncertain (initial), BadTimeout.
_WORD = re.compile(
    r"\s*((?i:good|uncertain|stale|bad)(?![^\W_])|(?:Good|Uncertain|Bad)(?=[A-Z])"
    r"|(?i:ok)(?=\s*(?:\(|\Z)))"
)
_WORDS: Final = {
    "good": Quality.GOOD,
    "ok": Quality.GOOD,
    "uncertain": Quality.UNCERTAIN,
    "stale": Quality.UNCERTAIN,
    "bad": Quality.BAD,
}
# 0x80340000, also in brackets behind a text, as Telegraf's opcua input writes it.
_HEX = re.compile(r"(?:.{0,300}\()?0[xX]([0-9A-Fa-f]{1,8})\)?", re.DOTALL)
_WHOLE = re.compile(r"[-+]?[0-9]{1,10}")
_BOOLEANS: Final = {"true": True, "false": False}
_MAX_STATUS: Final = 0xFFFF_FFFF
_MIN_STATUS: Final = -(2**31)  # programs in Java write the same 32 bits with a sign
_MAX_OPC_DA: Final = 0xFF
# Ignition's StatusCodes have a subcode there, and a good one is from 192 on.
_NO_STATUS: Final = frozenset({*range(1, 0xC0), *range(_MAX_OPC_DA + 1, 1 << 10)})
_STALE: Final = 500  # Sparkplug 3.0, property Quality: 0 bad, 192 good, 500 stale
_BY_TOP_BITS: Final = (Quality.BAD, Quality.UNCERTAIN, Quality.BAD, Quality.GOOD)
# 0 to 3 have opposite meanings in OPC DA, OPC UA, Siemens' qc and Ignition; 128 to 191 are good in
# Siemens PCS 7 and not used in OPC DA.
_CLEARLY_OPC_DA: Final = frozenset({*range(4, 0x80), *range(0xC0, _MAX_OPC_DA + 1)})
# Below it is a good StatusCode with nothing but information; in Ignition, an uncertain or bad code.
_CLEARLY_OPC_UA: Final = 0x1_0000


def _of_opc_da(code: int) -> Quality | None:
    """OPC Data Access 3.0, OPC Quality Flags: bits 7-6 of a byte; 10 is not used."""
    return _BY_TOP_BITS[code >> 6] if 0 <= code <= _MAX_OPC_DA else None


def _of_opc_ua(code: int) -> Quality | None:
    """OPC UA Part 4, 7.39: the severity is bits 31-30 of a StatusCode; 11 is not used.

    Bits 9-0 mean nothing where bits 11-10 are zero, and are zero then. So a small number is of
    another product, and would be taken for good here even where it is bad there.
    """
    if not _MIN_STATUS <= code <= _MAX_STATUS or code in _NO_STATUS:
        return None
    return Quality(min((code & _MAX_STATUS) >> 30, Quality.BAD))


def _of_status(status: Mapping[str, Any]) -> Quality | None:
    """OPC UA Part 6, 5.4.2.12: an object whose Code and Symbol are left out where it is good."""
    code, symbol = status.get("Code"), status.get("Symbol")
    if type(code) is int:
        return _of_opc_ua(code)
    if type(symbol) is str and (word := _WORD.match(symbol)):
        return _WORDS[word[1].lower()]
    return None if status else Quality.GOOD


def _of_deviation(code: int) -> Quality:
    """0 is good, as in Prediktor APIS."""
    return Quality.BAD if code else Quality.GOOD


def _guessed(code: int) -> Quality | None:
    """A number of which it is not known what wrote it.

    Raises:
        DecodeError: `quality_ambiguous`.
    """
    if code in _CLEARLY_OPC_DA:
        return _BY_TOP_BITS[code >> 6]
    if code == _STALE:
        return Quality.UNCERTAIN
    if 0 <= code < _CLEARLY_OPC_UA:
        raise DecodeError("quality_ambiguous")
    return _of_opc_ua(code) if code > 0 else None


_Kinds = Mapping[type, Callable[[Any], Quality | None]]
_FLAGS: _Kinds = {
    int: {0: Quality.BAD, 1: Quality.GOOD}.get,
    bool: {False: Quality.BAD, True: Quality.GOOD}.get,
}
_NAMED: Final[Mapping[NamedMap, _Kinds]] = {
    "opc_da": {int: _of_opc_da},
    "opc_ua": {int: _of_opc_ua, dict: _of_status},
    "boolean": _FLAGS,
    "siemens_qc": {
        int: {0: Quality.BAD, 1: Quality.UNCERTAIN, 2: Quality.GOOD, 3: Quality.GOOD}.get
    },
    "words": {},
    "sparkplug": {int: {0: Quality.BAD, 192: Quality.GOOD, _STALE: Quality.UNCERTAIN}.get},
    "zero_is_good": {int: _of_deviation},
}
"""How a value is read under each name, by the value's type. Words are read under all of them."""
_GUESS: _Kinds = {
    int: _guessed,
    bool: _FLAGS[bool],
    dict: lambda status: _of_status(status) if status else None,
}

QualityReader = Callable[[object], Quality]
"""Turns a value of a payload into its quality.

Null, or no quality at all, is good: OPC UA, Ignition and Siemens leave a good quality out.

Raises DecodeError: `quality_unknown`, and without a map `quality_ambiguous`.
"""


def quality_reader(chosen: NamedMap | Mapping[str, str] | None) -> QualityReader:
    """The reader for a name, for a table of one's own, or for None: the guess."""
    if chosen is None:
        return partial(_read, _GUESS)
    if isinstance(chosen, str):
        return partial(_read, _NAMED[chosen])
    return partial(_look_up, {_key(key): Quality[name] for key, name in chosen.items()})


def allowed_qualities(chosen: NamedMap | Mapping[str, str] | None) -> str:
    """What a map reads, in words for the operator."""
    if chosen is None or isinstance(chosen, str):
        return ALLOWED[chosen]
    return ", ".join(f"{key!r} ({name})" for key, name in chosen.items())


def _read(kinds: _Kinds, value: object) -> Quality:
    if value is None:
        return Quality.GOOD
    if type(value) is str:
        if word := _WORD.match(value):
            return _WORDS[word[1].lower()]
        value = _unquoted(value.strip())
        if value == "":
            # The source has a place for the quality and has put nothing there.
            return Quality.UNCERTAIN
    elif type(value) is float and value.is_integer():
        value = int(value)
    read = kinds.get(type(value))
    found = read(value) if read is not None else None
    if found is None:
        raise DecodeError("quality_unknown")
    return found


def _unquoted(text: str) -> int | bool | str:
    """The number or the truth value that a text is; another text as it is."""
    if _WHOLE.fullmatch(text):
        return int(text)
    if found := _HEX.fullmatch(text):
        return int(found[1], 16)
    return _BOOLEANS.get(text.lower(), text)


def _look_up(table: Mapping[str, Quality], value: object) -> Quality:
    if value is None:
        return Quality.GOOD
    if type(value) is float and value.is_integer():
        value = int(value)
    is_one_word = isinstance(value, str | int | float)  # no object, no list
    found = table.get(_key(str(value))) if is_one_word else None
    if found is None:
        raise DecodeError("quality_unknown")
    return found


def _key(text: str) -> str:
    """A value as tables compare it: `true` for true, `192` for 192 and 192.0, any case."""
    return text.strip().casefold()
