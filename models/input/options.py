"""Which settings of an input each payload format has a use for."""

from collections.abc import Mapping
from typing import Final, Literal

from models.input.tags.layout import NAMED

Dialect = Literal[
    "json", "scalar", "umh", "thingsboard", "block", "tags", "kepware", "litmus", "neuron"
]
"""The payload formats; those from `tags` on are lists of tags."""

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
)
"""The settings that not every payload format uses, in the order in which they are told."""


def uses(dialect: Dialect, encoding: str) -> frozenset[str]:
    """The settings out of `OPTIONS` that a payload format uses, with an encoding of blocks."""
    return frozenset({"encoding"}) if encoding == "float32" else _USED[dialect]
