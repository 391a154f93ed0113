"""Engineering units: as a name ends in one, behind a number, and whether two mean the same."""

import re
from typing import Final

_SAME: Final[tuple[frozenset[str], ...]] = tuple(
    frozenset(words.split())
    for words in (
        "degc c °c celsius cel deg_c",
        "degf f °f fahrenheit deg_f",
        "k kelvin",
        "bar",
        "mbar hpa",
        "pa pascal",
        "kpa",
        "mpa",
        "psi",
        "m3/h m³/h m3h cbm/h m3_h",
        "l/min lpm l_min",
        "l/s l_s",
        "m/s m_s",
        "mm/s mm_s",
        "m/s2 m/s² m_s2",
        "mm millimeter",
        "m meter",
        "rpm 1/min u/min",
        "hz",
        "khz",
        "a amp amps ampere",
        "ma",
        "v volt volts",
        "mv",
        "kv",
        "w watt watts",
        "kw",
        "mw",
        "kwh",
        "wh",
        "% percent pct %rh",
        "ppm",
        "kg",
        "g",
        "t/h",
        "kg/h kg_h",
        "nm",
        "n",
        "kn",
    )
)
_CASED: Final = {"MW": "megawatt", "mW": "milliwatt", "MPa": "mpa", "mPa": "millipascal"}
_ALL: Final = frozenset().union(*_SAME)
# One letter is a unit only where it is set off by brackets: flow_m is not in metres for sure.
_SHORTEST: Final = 2
_IN_BRACKETS: Final = re.compile(r"[\[(]\s*([^\])]{1,12}?)\s*[\])]\s*\Z")
_BEHIND: Final = re.compile(r"[-+]?[0-9.,]+(?:[eE][-+]?[0-9]+)?\s*([^\s0-9.,+-][^0-9,;]{0,15})?")


def known(text: str) -> bool:
    """Whether a text is a unit that is known."""
    return text.casefold() in _ALL


def same(one: str, other: str) -> bool:
    """Whether two units mean the same, as far as is known; case counts where it has a meaning."""
    if one == other:
        return True
    if one in _CASED and other in _CASED:
        return _CASED[one] == _CASED[other]
    one, other = one.casefold(), other.casefold()
    return one == other or any(one in group and other in group for group in _SAME)


def unit_of_name(name: str) -> str:
    """The unit that a name ends in, as `pressure_bar` and `Flow [m3/h]` do; empty without one."""
    if found := _IN_BRACKETS.search(name):
        return found[1] if known(found[1]) else ""
    for size in (2, 1):  # m3_h before h
        words = re.split(r"[_\s]+", name)
        tail = "_".join(words[-size:])
        if len(words) > size and len(tail) >= _SHORTEST and known(tail):
            return tail.replace("_", "/") if size > 1 else tail
    return ""


def without_unit(name: str) -> str:
    """A name without the unit that it ends in."""
    if found := _IN_BRACKETS.search(name):
        return name[: found.start()].rstrip(" _-")
    unit = unit_of_name(name)
    return name[: -len(unit)].rstrip(" _") if unit else name


def unit_behind(text: str) -> str:
    """The unit behind a number in a text, as in `23.5 bar`; empty without one."""
    found = _BEHIND.fullmatch(text.strip())
    return (found[1] or "").strip() if found else ""
