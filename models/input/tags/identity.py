"""Which signal of which asset a tag is of, by its name."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from models.input.codecs.paths import finder_of
from models.input.naming import asset_in, text_of
from models.input.source import Input

MAX_NAMES: Final = 100_000
"""Names of tags whose asset is remembered; the names beyond are taken apart each time."""


class Identity:
    """Finds the asset of a tag and its place among the bound signals.

    Args:
        source: the input, of which `asset` and `name_separator` count.
        names: name of the tag of each bound signal; with a separator, the part behind the last one.
    """

    def __init__(self, source: Input, names: Sequence[str]) -> None:
        self._places = {name: place for place, name in enumerate(names)}
        self._separator = source.name_separator
        self._asset = finder_of(source.asset)
        self._known: dict[object, tuple[str, int] | None] = {}
        if not (self._separator or self._asset):
            self._known.update({name: ("", place) for name, place in self._places.items()})

    def of(self, name: object, item: Any, group: Mapping[str, Any]) -> tuple[str, int] | None:  # noqa: ANN401  any JSON value
        """Asset and place of a tag; None if the model does not use it.

        Args:
            name: name of the tag, as the payload has it.
            item: the tag.
            group: the part of the payload in which the tag stands.

        Raises:
            DecodeError: `asset_missing`, `asset_malformed`, see `asset_in`.
        """
        if type(name) is not str:
            name = text_of(name)
        found = self._known.get(name)
        if found is not None or not (self._separator or self._asset):
            return found
        if self._asset is None:
            return self._taken_apart(name)
        if (place := self._places.get(name)) is None:
            return None
        value = self._asset(item)
        return asset_in(self._asset(group) if value is None else value), place

    def asset_of(self, group: Mapping[str, Any]) -> str:
        """The asset that a part of the payload names; empty if no path of it is configured.

        Raises:
            DecodeError: see `of`.
        """
        return "" if self._asset is None else asset_in(self._asset(group))

    def _taken_apart(self, name: str) -> tuple[str, int] | None:
        asset, _, signal = name.rpartition(self._separator)
        place = self._places.get(signal)
        if place is None:
            return None
        if self._separator == "/":
            # An asset is one level of the output topic; devices of Sparkplug are written so, too.
            asset = asset.removeprefix("/").replace("/", ":")
        found = (asset_in(asset or None), place)
        if len(self._known) < MAX_NAMES:
            self._known[name] = found
        return found
