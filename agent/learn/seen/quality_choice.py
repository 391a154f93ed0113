"""Which value of a payload is its quality, and which `quality_map` reads it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from models.errors import DecodeError
from models.input.codecs.qualities import NamedMap, quality_reader
from models.input.quality import Quality

_SURE: Final = frozenset(
    [
        "q",
        "quality",
        "qc",
        "qualitycode",
        "quality_code",
        "statuscode",
        "status_code",
        "opcquality",
        "qual",
    ]
)
_PERHAPS: Final = frozenset(
    ["status", "state", "valid", "isvalid", "ok", "success", "good", "isgood", "health"]
)
QUALITIES: Final = _SURE | _PERHAPS
"""Keys that a quality may have."""
_ORDER: Final[tuple[NamedMap, ...]] = (
    *("words", "boolean", "opc_da", "opc_ua", "siemens_qc", "sparkplug", "zero_is_good"),
)
"""All maps; of several that read the same, the first is taken."""
_BY_NAME: Final[dict[str, NamedMap]] = {"qc": "siemens_qc", "statuscode": "opc_ua"}
"""Keys that one product writes, where the values alone leave a doubt."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a quality is read.

    Attributes:
        map: the map; empty where several read the values and mean different things.
        doubt: what speaks against it or keeps from choosing, in words; empty without a doubt.
    """

    map: str
    doubt: str = ""


def choice(name: str, values: Sequence[Any]) -> Choice | None:
    """How values are read as qualities; None if they are none.

    Args:
        name: key of the values.
        values: the values of some messages, with at least one that is not null.
    """
    key = name.casefold()
    if key not in QUALITIES:
        return None
    distinct = list(
        {json.dumps(one, default=str): one for one in values if one is not None}.values()
    )
    readings = {one: read for one in _ORDER if (read := _read(one, distinct)) is not None}
    if key in _PERHAPS and not _is_clear(distinct):
        return None  # a status of the machine, such as "running" or 3
    if not readings:
        return Choice("", "no quality_map reads all of them: write a table of your own")
    return _chosen(key, readings, _read(None, distinct))


def _chosen(
    key: str, readings: Mapping[NamedMap, Sequence[Quality]], clear: Sequence[Quality] | None
) -> Choice:
    """One of the maps that read all values.

    Args:
        key: key of the values, in lower case.
        readings: the qualities of the values under each map.
        clear: the qualities where each value has one meaning in all products, else None.
    """
    same = [one for one, read in readings.items() if clear is None or read == clear]
    if same and (clear is not None or len(set(map(tuple, readings.values()))) == 1):
        return Choice(same[0])
    named = _BY_NAME.get(key)
    if named is not None and named in readings:
        return Choice(named, f"taken for {named} by the name of the key alone")
    meanings = ", ".join(
        f"{one}: {'/'.join(dict.fromkeys(quality.name for quality in read))}"
        for one, read in readings.items()
    )
    return Choice("", f"the values may mean opposite things ({meanings})")


def _is_clear(distinct: Sequence[Any]) -> bool:
    """Whether values are qualities by themselves: words or booleans."""
    are_words = all(isinstance(one, str | bool) for one in distinct)
    return are_words and _read(None, distinct) is not None


def _read(chosen: NamedMap | None, distinct: Sequence[Any]) -> list[Quality] | None:
    """The qualities of values under a map; None if one of them is not read."""
    read = quality_reader(chosen)
    try:
        return [read(one) for one in distinct]
    except DecodeError:
        return None


assert set(_ORDER) == set(get_args(NamedMap))  # noqa: S101  a new map needs its place in the order
