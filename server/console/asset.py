"""The newest prediction of one asset by one stream, and what leads up to it."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from models.bundle.manifest import Manifest
from models.input.quality import NAMES
from server.console.history.points import Thinning
from serving.explanation.explainer import MAX_REASONS

SPARKLINE: Final = 40
_SPARK_MS: Final = 1000  # two values of a sparkline are at least so far apart


class AssetState:
    """What is known of one asset in one stream.

    Args:
        stream: name of the stream.
        asset: key of the asset.

    Attributes:
        stream: as given.
        asset: as given.
        document: the newest prediction as it was published.
        value: its value; None where it has none.
        quality: its quality, 0 (GOOD) to 2 (BAD).
        received: when it arrived, milliseconds since 1970.
        reasons: the signals behind the answer, as the prediction has them that began it.
        thinning: the point that its predictions are added to.
        is_changed: whether a prediction has arrived since the last `settle`.
        is_saved: whether the newest prediction is in the history's file.
        revision: number of the last change that browsers are told of.
    """

    __slots__ = (
        "_encoded",
        "_explained",
        "_spark_at",
        "_sparkline",
        "asset",
        "document",
        "is_changed",
        "is_saved",
        "quality",
        "reasons",
        "received",
        "revision",
        "stream",
        "thinning",
        "value",
    )

    def __init__(self, stream: str, asset: str) -> None:
        self.stream, self.asset = stream, asset
        self.document: Mapping[str, Any] = {}
        self.value: float | None = None
        self.quality = 0
        self.received = self.revision = 0
        self.reasons: Sequence[Mapping[str, Any]] = ()
        self._explained: float | None = None
        self.thinning = Thinning()
        self.is_changed, self.is_saved = False, True
        self._sparkline: deque[float | None] = deque(maxlen=SPARKLINE)
        self._spark_at = 0
        self._encoded = b""

    def explain(self, reasons: object) -> None:
        """Take the reasons of a prediction, or keep those of the one before if it says the same.

        An alarm is explained where it begins only, so its reasons are kept for as long as it lasts.
        """
        if isinstance(reasons, list):
            self.reasons = [_reason(one) for one in reasons[:MAX_REASONS] if isinstance(one, dict)]
            self._explained = self.value
        elif self.value != self._explained:
            self.reasons = ()

    def settle(self, revision: int) -> None:
        """Take the newest prediction for what browsers are shown."""
        self.revision, self.is_changed = revision, False
        self._encoded = b""
        # Of a model that answers with a class, the value is only its number.
        score = _number(self.document.get("score"))
        shown = self.value if score is None else score
        if self._sparkline and self.received - self._spark_at < _SPARK_MS:
            self._sparkline[-1] = shown
        else:
            self._spark_at = self.received
            self._sparkline.append(shown)

    def restore(
        self, document: Mapping[str, Any], received: int, values: Iterable[float | None]
    ) -> None:
        """Take what was known before a restart."""
        self.document = document
        self.received = self._spark_at = received
        self.value = _number(document.get("value"))
        quality = document.get("quality")
        self.quality = NAMES.index(quality) if quality in NAMES else len(NAMES) - 1
        self.explain(document.get("why"))
        self._sparkline.extend(values)

    def encoded(self, manifest: Manifest | None, gateway: str) -> bytes:
        """The asset as JSON, written once for each change.

        Args:
            manifest: manifest of the model, if this server serves it.
            gateway: the gateway that the prediction is from; empty if it is not known.
        """
        if not self._encoded:
            self._encoded = orjson.dumps(self._shown(manifest, gateway))
        return self._encoded

    def _shown(self, manifest: Manifest | None, gateway: str) -> dict[str, Any]:
        document = self.document
        label, score = _text(document.get("label")), _number(document.get("score"))
        limit = threshold(manifest)
        is_above = limit is not None and score is not None and score >= limit
        # A label is that of class `value`; the first class is the normal one.
        is_class = label is not None and self.value not in (None, 0)
        return {
            "stream": self.stream,
            "asset": self.asset,
            "gateway": gateway,
            "value": self.value,
            "label": label,
            "score": score,
            "threshold": limit,
            "unit": _text(document.get("unit")) or "",
            "quality": NAMES[self.quality],
            "reason": _text(document.get("reason")) or "",
            "timestamp": _number(document.get("timestamp")),
            "received": self.received,
            "version": _text(document.get("version")) or "",
            "seq": _number(document.get("seq")),
            "abnormal": bool(self.quality or is_above or is_class),
            "reasons": self.reasons,
            "sparkline": list(self._sparkline),
        }


def threshold(manifest: Manifest | None) -> float | None:
    """The score from which a model calls its window abnormal; None where it has none."""
    outputs = manifest.outputs if manifest is not None else ()
    return next((one.threshold for one in outputs if one.threshold is not None), None)


def _reason(one: Mapping[str, Any]) -> Mapping[str, Any]:
    """A reason of a foreign document, see `serving.explanation.explainer.Explainer.reasons`."""
    return {
        "signal": _text(one.get("signal")) or "",
        "value": _number(one.get("value")),
        "share": _number(one.get("share")),
    }


def _text(value: object) -> str | None:
    """A text of a foreign document, cut to a length that a page can show."""
    return value[:200] if isinstance(value, str) else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
