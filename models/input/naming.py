"""Names that a message carries in its payload: its asset, its signal.

Some gateways publish many devices on one topic. The payload's asset then counts as a topic level
`{asset}` that stands behind all others, and its signal as the level `{signal}`. As predictions are
published on a topic with this asset, it has to be text that a topic level may have.
"""

from collections.abc import Mapping
from typing import Final

from models.errors import DecodeError
from models.input.codecs.paths import finder_of
from models.input.source import Input
from models.input.topics import ASSET, SIGNAL, is_level

MAX_ASSET_CHARACTERS: Final = 256


class PayloadNames:
    """Reads the names in the payloads of one input.

    Args:
        source: the input, of which `asset`, `signal` and `encoding` count.
    """

    def __init__(self, source: Input) -> None:
        self._asset = finder_of(source.asset)
        self._signal = finder_of(source.signal)
        self._parse = source.parse

    def __call__(self, payload: bytes) -> Mapping[str, str]:
        """The levels that the payload names, by the name of the level.

        Raises:
            DecodeError: `asset_missing` or `signal_missing` if there is nothing at the path;
                `asset_malformed` or `signal_malformed` if it is neither text nor a whole number,
                or the asset is not a topic level; see `Input.parse` and `Finder`.
        """
        document = self._parse(payload)
        named: dict[str, str] = {}
        if self._asset is not None:
            named[ASSET] = asset_in(self._asset(document))
        if self._signal is not None:
            value = self._signal(document)
            if value is None:
                raise DecodeError("signal_missing")
            named[SIGNAL] = text_of(value)
            if not named[SIGNAL]:
                raise DecodeError("signal_malformed")
        return named


def asset_in(value: object) -> str:
    """The asset that a payload names.

    Args:
        value: what stands in its place; None for nothing.

    Raises:
        DecodeError: `asset_missing`; `asset_malformed` if it is neither text nor a whole number, or
            cannot be a topic level.
    """
    if value is None:
        raise DecodeError("asset_missing")
    asset = text_of(value)
    # A broker may end the connection over a control character in a topic (MQTT 5, 1.5.4).
    is_printable = len(asset) <= MAX_ASSET_CHARACTERS and asset.isprintable()
    if not (is_printable and is_level(asset)):
        raise DecodeError("asset_malformed")
    return asset


def text_of(value: object) -> str:
    """Text as it is, a whole number as JSON writes it; empty for anything else."""
    if type(value) is int:
        return str(value)
    return value if isinstance(value, str) else ""
