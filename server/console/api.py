"""The JSON behind the page, and the page itself.

| path | answer |
| --- | --- |
| /, /console, /console/static/... | the page and its files |
| /console/api/plant | all assets, and the connection to the broker |
| /console/api/gateways | all gateways |
| /console/api/streams | all streams, with what is known of their models |
| /console/api/history | what happened to one asset in a time |
| /console/api/events | server-sent events: what changes |
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from models.bundle.manifest import Manifest
from server.console.asset import threshold
from server.console.history.sqlite_file import Curve
from server.console.pages import Pages
from server.console.plant import now_ms
from server.console.watch import Watch
from server.http.answer import Answer, json
from server.http.refusals import RefusedError
from server.http.request import Handler, Request

MAX_POINTS: Final = 3_600
_HOUR_MS: Final = 3_600_000
_LAST_MS: Final = 2**53
_FRESH: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_EVENTS: Final = b"text/event-stream; charset=utf-8"
_UNBUFFERED: Final = (*_FRESH, (b"x-accel-buffering", b"no"))  # nginx passes events on at once


class Api:
    """Answers what the page asks.

    Args:
        watch: what is known of the plant.
        has_rollouts: whether this server decides on rollouts, which the page then shows.
        has_retraining: whether it proposes trainings, which the page then shows.
    """

    def __init__(
        self, watch: Watch, *, has_rollouts: bool = False, has_retraining: bool = False
    ) -> None:
        self._watch = watch
        self._has_rollouts, self._has_retraining = has_rollouts, has_retraining

    def table(self) -> Sequence[tuple[str, str, Handler]]:
        """Method, path and handler of everything that is answered here."""
        return (
            *Pages().table(),
            ("GET", "/console/api/plant", self._plant),
            ("GET", "/console/api/gateways", self._gateways),
            ("GET", "/console/api/streams", self._streams),
            ("GET", "/console/api/history", self._history),
            ("GET", "/console/api/events", self._events),
        )

    async def _plant(self, request: Request) -> Answer:
        request.query()
        watch = self._watch
        plant = watch.plant
        return _fresh(
            {
                "now": now_ms(),
                "broker": watch.broker(),
                "history": {"kept": not watch.keeper.trouble, "reason": watch.keeper.trouble},
                "ignored": plant.ignored + watch.gateways.ignored,
                "forgotten": plant.forgotten,
                "rollouts": self._has_rollouts,
                "retraining": self._has_retraining,
                "assets": [watch.encoded(one) for one in plant.assets.values()],
            }
        )

    async def _gateways(self, request: Request) -> Answer:
        request.query()
        known = sorted(self._watch.gateways.known.items())
        return _fresh({"gateways": [one.document() for _, one in known]})

    async def _streams(self, request: Request) -> Answer:
        request.query()
        watch = self._watch
        seen = {stream for stream, _ in watch.plant.assets}
        return _fresh(
            {
                "streams": [
                    _described(name, watch.manifest(name), self._versions(name))
                    for name in sorted(seen | set(watch.served.slots))
                ]
            }
        )

    async def _history(self, request: Request) -> Answer:
        asked = request.query("stream", "asset", "from", "to")
        stream, asset = asked.get("stream", ""), asked.get("asset", "")
        if not stream or not asset:
            raise RefusedError("the query lacks stream or asset; both are needed")
        now = now_ms()
        begin = _milliseconds(asked, "from", now - _HOUR_MS)
        end = _milliseconds(asked, "to", now)
        if begin >= end:
            raise RefusedError(f"from is {begin} and to is {end}: from must be before to")
        # A point of the answer may become two: the least value, and the greatest.
        shortest = self._watch.console.point_ms
        width = max(shortest, -(-(end - begin) * 2 // MAX_POINTS))
        curve = await self._watch.keeper.curve(stream, asset, (begin, end), width)
        marks = sorted({*curve.marks, *self._watch.hub.marks(stream, (begin, end))})
        return _fresh(
            {
                "stream": stream,
                "asset": asset,
                "points": _columns(curve, width),
                "marks": [one.document() for one in marks],
                "drift": [one._asdict() for one in curve.drift],
                "counters": self._watch.gateways.counters(stream),
            }
        )

    async def _events(self, request: Request) -> Answer:
        request.query()
        watch = self._watch
        if request.method == "HEAD":
            return Answer(200, b"", _EVENTS, _UNBUFFERED)
        known = request.header(b"last-event-id").strip()
        since = int(known) if known.isdigit() and len(known) <= len(str(_LAST_MS)) else None
        listener = watch.hub.listen(
            since, watch.plant.assets.values(), watch.gateways.known.values()
        )
        return Answer(200, b"", _EVENTS, _UNBUFFERED, listener)

    def _versions(self, stream: str) -> Sequence[str]:
        slot = self._watch.served.slots.get(stream)
        return slot.named if slot is not None else ()


def _fresh(document: Mapping[str, Any]) -> Answer:
    return json(document)._replace(headers=_FRESH)


def _milliseconds(asked: Mapping[str, str], name: str, otherwise: int) -> int:
    text = asked.get(name, "")
    if not text:
        return otherwise
    if not text.isascii() or not text.isdigit() or int(text[:20]) > _LAST_MS:
        raise RefusedError(f"{name} is '{text[:20]}'; allowed are milliseconds since 1970")
    return int(text)


def _columns(curve: Curve, width: int) -> dict[str, list[Any]]:
    """Points as columns. Where values differ within one, it gives its least and its greatest."""
    rows: list[tuple[int, float | None, float | None, int]] = []
    for begin, low, high, score, quality in curve.points:
        rows.append((begin, low, score, quality))
        if low != high:
            rows.append((begin + width // 2, high, score, quality))
    times, values, scores, qualities = zip(*rows, strict=True) if rows else ((), (), (), ())
    return {
        "timestamp": list(times),
        "value": list(values),
        "score": list(scores),
        "quality": list(qualities),
    }


def _described(stream: str, manifest: Manifest | None, versions: Sequence[str]) -> dict[str, Any]:
    """A stream, as far as its model is known here."""
    if manifest is None:
        nothing = dict.fromkeys(
            ("name", "task", "unit", "threshold", "classes", "window", "report")
        )
        return {"stream": stream, "served": False, **nothing, "signals": [], "versions": []}
    value = manifest.outputs[0]
    window = manifest.window
    return {
        "stream": stream,
        "served": True,
        "name": manifest.name,
        "task": manifest.task,
        "unit": value.unit,
        "threshold": threshold(manifest),
        "classes": list(value.classes),
        "signals": [
            {
                "name": one.name,
                "unit": one.unit,
                "low": one.valid_range[0] if one.valid_range else None,
                "high": one.valid_range[1] if one.valid_range else None,
                "missing": one.missing,
                "states": list(one.codes),
            }
            for one in manifest.channels
        ],
        "window": {
            "length": window.length,
            "hop": window.hop,
            "sample_period_ms": window.sample_period_ms,
        },
        "versions": list(versions),
        "report": f"/v1/streams/{stream}/report",
    }
