"""What the signals and the score looked like in training, so that a gateway can tell a change."""

import json

import numpy as np
from numpy.typing import NDArray

from models.manifest import Channel

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def describe(
    samples: NDArray[np.float32], channels: tuple[Channel, ...], score: NDArray[np.float32]
) -> bytes:
    """The bundle's `reference.json`.

    Args:
        samples: the last sample of each training window, `[n, channels]`, NaN = missing.
        channels: names and units.
        score: the score, or a regression's value, of the test windows: those of the training
            windows would flatter.
    """
    document = {
        "schema_version": 1,
        "signals": {
            channel.name: {"unit": channel.unit, **_summary(samples[:, index])}
            for index, channel in enumerate(channels)
        },
        "score": _summary(score),
    }
    return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"


def _summary(values: NDArray[np.float32]) -> dict[str, object]:
    present = values[~np.isnan(values)].astype(np.float64)
    if not len(present):
        return {"count": 0, "missing_share": 1.0}
    quantiles = np.quantile(present, QUANTILES)
    return {
        "count": len(present),
        "missing_share": _short(1 - len(present) / len(values)),
        "mean": _short(present.mean()),
        "std": _short(present.std()),
        "quantiles": {f"{q:g}": _short(v) for q, v in zip(QUANTILES, quantiles, strict=True)},
    }


def _short(value: float) -> float:
    return float(f"{value:.7g}")
