"""Payload format `thingsboard`: the telemetry upload API of ThingsBoard.

{"pressure": 4.2}                                    ThingsBoard takes its own time, we the arrival
{"ts": 1760000000000, "values": {"pressure": 4.2}}   source time
[{...}, {...}]                                       several of either
"""

from collections.abc import Sequence
from typing import Any

from models.errors import DecodeError
from models.input.codecs.document import Parse, parse_message
from models.input.codecs.json_row import JsonRowDecoder
from models.input.codecs.reading import Fields, Reading
from models.input.codecs.times import to_time_ns
from models.input.codecs.values import ValueReader

# Bounds how long one message can keep the hot thread from all others.
MAX_ENTRIES = 10_000


class ThingsBoardDecoder:
    """Decoder of ThingsBoard telemetry.

    Args:
        paths: key of each bound signal, in the order in which values are wanted.
        readers: what reads the value of each signal; if omitted, each is a number.
        parse: turns a payload into its document; if omitted, the payload is JSON text.
    """

    def __init__(
        self,
        paths: Sequence[str],
        readers: Sequence[ValueReader] = (),
        parse: Parse = parse_message,
    ) -> None:
        self._parse = parse
        self._row = JsonRowDecoder(paths, Fields(), readers, parse)

    def __call__(self, payload: bytes) -> Sequence[Reading]:
        """The readings of an upload, oldest first, those without a time last.

        Entries that have none of the keys are left out: devices upload other telemetry as well.

        Raises:
            DecodeError: `not_an_object`, `too_many_entries`; `no_signal` if no entry has any of the
                keys; see `JsonRowDecoder`.
        """
        document = self._parse(payload)
        entries = document if isinstance(document, list) else [document]
        if not entries or not all(isinstance(entry, dict) for entry in entries):
            raise DecodeError("not_an_object")
        if len(entries) > MAX_ENTRIES:
            raise DecodeError("too_many_entries")
        readings = [reading for entry in entries if (reading := self._entry(entry)) is not None]
        if not readings:
            raise DecodeError("no_signal")
        return sorted(readings, key=_order)

    def _entry(self, entry: dict[str, Any]) -> Reading | None:
        values = entry.get("values") if "ts" in entry else entry
        if not isinstance(values, dict):
            raise DecodeError("not_an_object")
        if not self._row.reports(values):
            return None
        reading = self._row.row(values)
        if values is entry:
            return reading
        return reading._replace(time_ns=to_time_ns(entry["ts"], "ms"))


def _order(reading: Reading) -> tuple[bool, int]:
    return reading.time_ns is None, reading.time_ns or 0
