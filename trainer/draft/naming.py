"""Names and units of signals, from the headers of columns such as `temp [°C]` or `Druck (bar)`."""

import re
import unicodedata
from collections.abc import Collection
from typing import Final

_UNIT: Final = re.compile(r"^(?P<name>.+?)\s*(?:\[(?P<a>[^\]]*)\]|\((?P<b>[^)]*)\)|/\s(?P<c>\S+))$")
_ENDING: Final = re.compile(
    r"^(?P<name>.+?)[_ ](?P<unit>degC|degF|degR|bar|mbar|kPa|MPa|Pa|psi|rpm|kW|kWh|MW|MWh|Hz|kHz"
    r"|mm|mm_s|m3h|Nm|kN|percent|pct|ms|kg|V|kV|mV|A|mA)$"
)
_SPELLED: Final = {"degC": "°C", "degF": "°F", "degR": "°R", "percent": "%", "pct": "%"}
_SHARPS: Final = str.maketrans(
    {"ß": "ss", "°": "deg", "%": "percent", "µ": "u", "Ø": "O", "ø": "o"}
)
_MOST: Final = 64


def named(header: str) -> tuple[str, str]:
    """The name and the unit in a header; the unit is empty where there is none."""
    if found := _UNIT.fullmatch(header.strip()):
        return found["name"], (found["a"] or found["b"] or found["c"] or "").strip()
    if found := _ENDING.fullmatch(header.strip()):
        return header.strip(), _SPELLED.get(found["unit"], found["unit"].replace("_", "/"))
    return header.strip(), ""


def signal_name(header: str, taken: Collection[str]) -> str:
    """A name that topics, paths and labels can carry, and that is not among those taken."""
    plain = unicodedata.normalize("NFKD", named(header)[0].translate(_SHARPS))
    ascii_only = plain.encode("ascii", "ignore").decode()
    # A dot in a name makes a level in a message, which a draft cannot know to be meant.
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", ascii_only).strip("_-")[: _MOST - 4] or "signal"
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}_{number}", number + 1
    return name
