"""Rows of readings, as a person types them.

    {"time": "2026-01-31T10:00:00Z", "asset": "l1/pump7", "pressure": 4.2, "flow": null}

Values and times are read by the code of the payload format `json` (`models.input.codecs`), so that
a row means what the same message would mean over MQTT. Where that drops a message and counts the
reason, the request is refused here, with the row and the key.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import orjson

from models.bundle.manifest import Manifest
from models.errors import DecodeError
from models.input.codecs.times import to_time_ns
from models.input.codecs.values import value_reader
from models.input.limits import IntakeLimits
from models.input.reasons import REASONS
from models.windowing.asset_state import NS_PER_MS
from server.http.refusals import RefusedError

_NUMBERS: Final = frozenset({float, int})
_TIME_BOUNDS: Final = IntakeLimits().time_bounds
_ASSET_CHARACTERS: Final = 256
_MAX_SHOWN: Final = 60
_MAX_LISTED: Final = 2_000


class TooManyError(RefusedError):
    """There are more rows, or more windows in them, than one request may have."""

    status: ClassVar[int] = 413
    reason: ClassVar[str] = "too_large"


class Row(NamedTuple):
    """One row.

    Attributes:
        asset: key of the asset.
        time_ns: event time, nanoseconds since 1970.
        values: value of every signal, in the order of the manifest; NaN = missing.
        content: the row as compact JSON, without its asset: the message that MQTT would carry.
    """

    asset: str
    time_ns: int
    values: Sequence[float]
    content: bytes


class RowReader:
    """Reads the rows for one version of a model.

    A name of a signal never begins with an underscore, so `_time` and `_asset` are free where
    signals are themselves named `time` or `asset`.

    Args:
        manifest: manifest of the version.
        max_rows: rows that a request may have.

    Attributes:
        time_key: key of a row's time.
        asset_key: key of a row's asset.
        names: names of the signals, in the order of the manifest.
    """

    def __init__(self, manifest: Manifest, max_rows: int) -> None:
        self.names = tuple(channel.name for channel in manifest.channels)
        self.time_key, self.asset_key = (
            f"_{key}" if key in self.names else key for key in ("time", "asset")
        )
        self._readers = {one.name: value_reader(one.codes, "strict") for one in manifest.channels}
        self._states = {one.name: ", ".join(one.codes) for one in manifest.channels if one.codes}
        self._known = frozenset((*self.names, self.time_key, self.asset_key))
        self._stream, self._max_rows = manifest.stream, max_rows
        self._spec = spec = manifest.window
        self._period_ns = spec.period_ns if spec.is_on_grid else _period_ns(spec.sample_period_ms)

    def read(self, readings: Any, now_ns: int) -> list[Row]:  # noqa: ANN401  any JSON value
        """The rows of a request: a list of objects, or one object.

        Args:
            readings: what the request has.
            now_ns: this machine's time of day, nanoseconds since 1970.

        Raises:
            RefusedError: which row, what was found, and what is allowed.
        """
        documents = [readings] if isinstance(readings, dict) else readings
        if not isinstance(documents, list) or not documents:
            raise RefusedError(
                "readings is no row; allowed is a list of objects, or one object: "
                f"{', '.join(self.names)[:_MAX_LISTED]}"
            )
        if len(documents) > self._max_rows:
            raise TooManyError(
                f"the request has {len(documents)} rows; allowed are {self._max_rows} "
                "(predict.max_rows)"
            )
        times_ns = self._times(documents, now_ns)
        return [
            Row(
                self._asset(number, document),
                time_ns,
                self._values(number, document),
                self._content(number, document),
            )
            for number, (document, time_ns) in enumerate(zip(documents, times_ns, strict=True))
        ]

    def _values(self, number: int, document: Mapping[str, Any]) -> Sequence[float]:
        if not document.keys() <= self._known:
            raise self._unknown(number, document)
        found = tuple(map(document.get, self.names))
        if not self._states and _NUMBERS.issuperset(map(type, found)):
            return found  # type: ignore[return-value]  # nothing but numbers
        if document.keys().isdisjoint(self.names):
            raise self._unknown(number, document)
        return [
            self._number(number, name, value) for name, value in zip(self.names, found, strict=True)
        ]

    def _number(self, number: int, name: str, value: object) -> float:
        try:
            return self._readers[name](value)
        except DecodeError as exc:
            states = self._states.get(name, "")[:_MAX_LISTED]
            allowed = (
                f"null and the states {states}" if states else "a number, true, false and null"
            )
            raise RefusedError(
                f"row {number}: '{name}' is {_shown(value)}: {REASONS[exc.reason]}; allowed are "
                f"{allowed}"
            ) from exc

    def _asset(self, number: int, document: Mapping[str, Any]) -> str:
        asset = document.get(self.asset_key, self._stream)
        is_text = isinstance(asset, str) and asset.isprintable()
        if not is_text or not 0 < len(asset) <= _ASSET_CHARACTERS:
            raise RefusedError(
                f"row {number}: '{self.asset_key}' is {_shown(asset)}; allowed is text of 1 to "
                f"{_ASSET_CHARACTERS} printable characters"
            )
        return str(asset)

    def _content(self, number: int, document: Mapping[str, Any]) -> bytes:
        if self.asset_key in document:
            document = {key: value for key, value in document.items() if key != self.asset_key}
        try:
            return orjson.dumps(document)
        except orjson.JSONEncodeError as exc:
            raise RefusedError(
                f"row {number} has a value that is not allowed in JSON: {exc}"
            ) from exc

    def _times(self, documents: Sequence[Any], now_ns: int) -> Sequence[int]:
        """Event time of every row: its own; where no row has one, rows are a period apart."""
        for number, document in enumerate(documents):
            if not isinstance(document, dict):
                raise RefusedError(f"row {number} is {_shown(document)}; allowed is an object")
        timed = sum(self.time_key in document for document in documents)
        if timed == len(documents):
            return [
                self._time(number, document[self.time_key], now_ns)
                for number, document in enumerate(documents)
            ]
        if timed:
            raise RefusedError(
                f"{timed} of {len(documents)} rows have '{self.time_key}'; allowed is all of them "
                "or none"
            )
        end_ns = now_ns - (now_ns % self._spec.period_ns if self._spec.is_on_grid else 0)
        assets = [self._asset(number, document) for number, document in enumerate(documents)]
        left, times_ns = Counter(assets), []
        for asset in assets:
            left[asset] -= 1
            times_ns.append(end_ns - round(left[asset] * self._period_ns))
        return times_ns

    def _time(self, number: int, value: object, now_ns: int) -> int:
        try:
            time_ns = to_time_ns(value, "iso8601" if isinstance(value, str) else "ms")
            _TIME_BOUNDS.check(time_ns, now_ns)
        except DecodeError as exc:
            raise RefusedError(
                f"row {number}: '{self.time_key}' is {_shown(value)} ({exc.reason}); allowed is "
                "text as of RFC 3339 (2026-01-31T10:00:00Z), or milliseconds since 1970, from 2000 "
                "on and at most a minute ahead of the server's clock"
            ) from exc
        return time_ns

    def _unknown(self, number: int, document: Mapping[str, Any]) -> RefusedError:
        strange = ", ".join(sorted(document.keys() - self._known))[:_MAX_SHOWN]
        found = f"has {strange}, which the model does not read" if strange else "has no signal"
        return RefusedError(
            f"row {number} {found}; allowed are {', '.join(self.names)[:_MAX_LISTED]}, and beside "
            f"them {self.time_key} and {self.asset_key}"
        )


def _period_ns(period_ms: float | None) -> float:
    """The time from one row to the next, nanoseconds: 1 ms where the model has no period."""
    return (1.0 if period_ms is None else period_ms) * NS_PER_MS


def _shown(value: object) -> str:
    """A JSON value for a message, cut off where it is long."""
    text = str(value) if not isinstance(value, str) else f"'{value}'"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
