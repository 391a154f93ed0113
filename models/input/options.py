"""Which settings of an input each payload format has a use for."""

from collections.abc import Mapping
from typing import Final, Literal

from models.input.tags.layout import NAMED

Dialect = Literal[
    "json",
    "scalar",
    "umh",
    "thingsboard",
    "block",
    "tags",
    "kepware",
    "litmus",
    "neuron",
    "sitewise",
    "thingsboard-gateway",
    "telegraf",
    "influx",
    "opcua",
    "siemens",
    "sparkplug-json",
    "sparkplug",
]
"""The payload formats; those from `tags` to `sparkplug-json` are lists of tags."""

_PATHS: Final = frozenset({"timestamp", "quality", "sequence"})
_TAGS: Final = frozenset({"asset", "name_separator", "numbers", "sequence"})
_USED: Final[Mapping[str, frozenset[str]]] = {
    "json": _PATHS | {"asset", "numbers"},
    "scalar": _PATHS | {"value", "asset", "signal", "numbers"},
    "umh": frozenset({"numbers"}),
    "thingsboard": frozenset({"numbers"}),
    "block": _PATHS | {"value", "encoding"},
    "tags": _PATHS | _TAGS | {"tags"},
    **dict.fromkeys(NAMED, _TAGS),
    "sparkplug": frozenset({"numbers", "rebirth"}),
    "thingsboard-gateway": frozenset({"numbers"}),  # the keys of its payloads are the assets
}
OPTIONS: Final = (
    "timestamp",
    "quality",
    "sequence",
    "value",
    "asset",
    "signal",
    "name_separator",
    "tags",
    "encoding",
    "numbers",
    "rebirth",
)
"""The settings that not every payload format uses, in the order in which they are told."""


def uses(dialect: Dialect, encoding: str) -> frozenset[str]:
    """The settings out of `OPTIONS` that a payload format uses, with an encoding of blocks."""
    return frozenset({"encoding"}) if encoding == "float32" else _USED[dialect]
