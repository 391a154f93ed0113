"""Signals that are at another level, or vary far more or less, than where a model learned.

A sensor that was exchanged, or whose unit was changed, makes every earlier model answer nonsense. A
comparison with such a model says nothing of the model, so this is told before the comparison.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Manifest
from models.bundle.reference import Document, Quantity
from trainer.ingest.recording import Recording

MOSTLY = 0.5
"""Share of values far outside those of the training, from which on a signal has moved."""
WIDER = 10.0
"""How many times as wide, or as narrow, the middle half of the values must be."""
_FEWEST = 20
"""Fewer values do not show a distribution."""
_ALIKE = 0.2
"""Relative difference of two factors that count as the same one."""
_CLOSE = 1.5
"""Factors below this, and above its inverse, may be a drift as well as another unit."""
Values = NDArray[np.float64]


def moved_signals(
    manifest: Manifest, reference: bytes, recording: Recording, rows: NDArray[np.int64]
) -> Iterator[str]:
    """A sentence on each signal that has moved since an earlier model was trained.

    Args:
        manifest: the manifest of the earlier model.
        reference: its `reference.json`.
        recording: the recorded rows, which have all signals of the manifest.
        rows: indices of the rows to look at, `[n]`.
    """
    try:
        known: Mapping[str, Quantity] = Document.model_validate_json(reference).signals
    except ValueError:  # of a release before, or of a bundle that was made elsewhere
        return
    for channel in manifest.channels:
        values = recording.values[rows, recording.channels.index(channel.name)].astype(np.float64)
        said = moved(known[channel.name], values - channel.offset) if channel.name in known else ""
        if said:
            yield f"'{channel.name}' {said}"


def moved(before: Quantity, values: Values) -> str:
    """How values differ from those of the training, in words; empty if they are like those.

    Args:
        before: the signal in the training data.
        values: its values now, NaN for missing, `[n]`.
    """
    present = values[np.isfinite(values)]
    if len(present) < _FEWEST or before.outside is None:
        return ""
    low, high = before.outside
    outside = float(((present < low) | (present > high)).mean())
    quarters = np.quantile(present, (0.25, 0.5, 0.75))
    then = np.array([before.quantiles[name] for name in ("0.25", "0.5", "0.75")])
    width, was = quarters[2] - quarters[0], then[2] - then[0]
    stretched = width / was if was > 0 and width > 0 else 1.0
    if outside < MOSTLY and 1 / WIDER < stretched < WIDER:
        return ""
    about = (
        f"is around {quarters[1]:.4g} here and was around {then[1]:.4g} where the champion learned "
        f"(middle half {quarters[0]:.4g} to {quarters[2]:.4g}, then {then[0]:.4g} to {then[2]:.4g})"
    )
    centred = abs(then[1]) < was and abs(quarters[1]) < width  # then the level tells no factor
    return about + _as_if(stretched if centred else quarters[1] / (then[1] or np.inf), stretched)


def _as_if(factor: float, stretched: float) -> str:
    """What it looks like, where level and width have changed by the same factor."""
    is_unit = abs(factor / stretched - 1) <= _ALIKE and not 1 / _CLOSE < factor < _CLOSE
    return f", as if it were multiplied by about {factor:.2g}" if is_unit else ""
