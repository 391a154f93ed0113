"""Distributions of the signals and of the score in training: the bundle's `reference.json`.

Its schema version 2 has the limits of drift (`models/drift.py`). A file of version 1, which had no
limits, is not used: drift is not watched then.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.bundle.correlation import Correlation
from models.bundle.manifest import Channel, Finite
from models.errors import ManifestError

BINS: Final = 10
"""Cells with equally many training samples, of a quantity that takes many values."""
CELLS: Final = BINS + 6
"""Cells of a view at most: three on either side lie beyond all training samples."""
CONDITIONS: Final = ("ordinary", "repeated", "outside", "missing")
"""Conditions of a sample, in the order of `Condition.counts`."""
SCORE: Final = "score"
"""Name of the score among the quantities; a signal may have the same name."""
MIN_WINDOW: Final = 40
"""Samples that a window of drift has at least: five in each of its eight blocks."""
MAX_WINDOW: Final = 1_000_000

Floats = NDArray[np.float64]
Positive = Annotated[Finite, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Histogram(_Frozen):
    """Number of training samples in each cell of a view.

    Attributes:
        edges: edges between the cells, rising; a sample at an edge belongs to the cell above.
        counts: number of training samples in each cell, one more than there are edges.
        scale: unit of the distance, in the unit of the edges: the standard deviation, as a rule.
        limit: distance to these counts above which there is drift, in units of `scale`.
    """

    edges: Annotated[tuple[Finite, ...], Field(max_length=CELLS - 1)]
    counts: tuple[Count, ...]
    scale: Positive = 1.0
    limit: Positive = 1.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.counts) != len(self.edges) + 1 or list(self.edges) != sorted({*self.edges}):
            raise ValueError("edges must rise, and have one count more than there are edges")
        return self


class Relation(Histogram):
    """Histogram of a signal minus its linear regression on the other signals.

    Attributes:
        weights: weight of each signal of the model, after it was standardised by `mean` and `std`.
    """

    weights: tuple[Finite, ...]


class Condition(_Frozen):
    """Number of training samples in each condition.

    Attributes:
        counts: number of samples that were ordinary, repeated, outside and missing.
        limit: share of samples whose condition would have to change, above which there is drift.
    """

    counts: Annotated[tuple[Count, ...], Field(min_length=4, max_length=4)]
    limit: Positive = 1.0


class Quantity(_Frozen):
    """A signal or the score in the training data.

    Attributes:
        unit: engineering unit, for people; empty without one.
        count: number of samples with a value, from which `mean` to `quantiles` are computed.
        missing_share: share of the samples without a value, from 0 to 1.
        quantiles: value of each quantile, by its name.
        outside: values below the first and above the second are far from all training samples;
            None if there were no samples with a value.
        level: histogram of the values.
        relation: histogram of the values minus their regression on the other signals; None without.
        condition: number of samples by condition.
    """

    unit: str = ""
    count: Count
    missing_share: Annotated[Finite, Field(ge=0, le=1)]
    mean: Finite = 0.0
    std: Annotated[Finite, Field(ge=0)] = 0.0
    skewness: Finite = 0.0
    kurtosis: Finite = 0.0
    quantiles: dict[str, Finite] = {}
    outside: tuple[Finite, Finite] | None = None
    level: Histogram
    relation: Relation | None = None
    condition: Condition


class Judgement(_Frozen):
    """How windows of live data are compared with the training data (ADR 15).

    Attributes:
        statistic: distance of two histograms: the 1-Wasserstein distance.
        window: number of samples of one asset that are compared at once.
        false_alarms: share of windows of undisturbed data that give an alarm nevertheless.
        judged: number of held-out windows of training data on which the limits were measured.
        independent: number of separate stretches from which the most unusual of those windows come;
            with few, the limits are wide.
    """

    statistic: Literal["wasserstein"] = "wasserstein"
    window: Annotated[int, Field(ge=MIN_WINDOW, le=MAX_WINDOW)]
    false_alarms: Annotated[Finite, Field(gt=0, lt=1)]
    judged: Count = 0
    independent: Count = 0


class Document(_Frozen):
    """The content of reference.json.

    Attributes:
        signals: each signal of the model, in the order of the manifest, by its name.
        score: the score of the model, or its value if it has no score.
        drift: how drift is detected; None if it is not.
        reason: why `drift` is None, in words; empty otherwise.
        correlation: how long answers and signals stay correlated; None if it is not known, as in
            bundles of earlier releases.
    """

    schema_version: Literal[2] = 2
    signals: dict[str, Quantity]
    score: Quantity
    drift: Judgement | None = None
    reason: str = ""
    correlation: Correlation | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The reference as arrays, against which live data are compared.

    A view is a quantity (a signal or the score) and one of three ways to describe it: `level`,
    `relation` or `condition`; see `models.drift`. Arrays are float64.

    Attributes:
        names: names of the quantities: the signals, and last the score.
        window: number of samples of an asset that are compared at once.
        false_alarms: share of windows of undisturbed data that give an alarm nevertheless.
        low: least value of each quantity that is not outside, `[quantities]`.
        high: greatest value of each quantity that is not outside, `[quantities]`.
        mean: mean of each signal, `[channels]`.
        scale: standard deviation of each signal, or 1 if it is constant, `[channels]`.
        weights: standardised signals times this matrix are the relations, `[channels, channels]`;
            None without relations.
        edges: edges of the cells of levels and relations, `[levels + relations, CELLS - 1]`; inf
            where a view has fewer.
        views: quantity and kind of each view; all levels, then all relations, then all conditions.
        below: share of the training samples in each cell and in those below, `[views, CELLS]`; of
            conditions, the share in each cell alone.
        widths: weight in the distance of a difference in each element of `below`,
            `[views, CELLS]`.
        limits: limit of the distance of each view, `[views]`.
    """

    names: tuple[str, ...]
    window: int
    false_alarms: float
    low: Floats
    high: Floats
    mean: Floats
    scale: Floats
    weights: Floats | None
    edges: Floats
    views: tuple[tuple[str, str], ...]
    below: Floats
    widths: Floats
    limits: Floats

    @classmethod
    def of(cls, document: Document) -> Self | None:
        """The arrays of a document; None if it has no limits of drift."""
        if document.drift is None:
            return None
        # Pairs, not a dict: a signal may be named as the score is.
        quantities = [*document.signals.items(), (SCORE, document.score)]
        names = tuple(name for name, _ in quantities)
        parts = [quantity for _, quantity in quantities]
        relations = {name: q.relation for name, q in document.signals.items() if q.relation}
        histograms: list[Histogram] = [part.level for part in parts]
        histograms += relations.values()
        conditions = [part.condition for part in parts]
        weights = [relation.weights for relation in relations.values()]
        bounds = np.array([q.outside or (-np.inf, np.inf) for q in parts])
        signals = list(document.signals.values())
        return cls(
            names=names,
            window=document.drift.window,
            false_alarms=document.drift.false_alarms,
            low=bounds[:, 0],
            high=bounds[:, 1],
            mean=np.array([signal.mean for signal in signals]),
            scale=np.array([signal.std or 1.0 for signal in signals]),
            weights=np.array(weights).T if weights else None,
            edges=_padded([histogram.edges for histogram in histograms], np.inf)[:, :-1],
            views=(
                *((name, "level") for name in names),
                *((name, "relation") for name in relations),
                *((name, "condition") for name in names),
            ),
            below=_padded([*map(_below, histograms), *(_shares(c.counts) for c in conditions)]),
            widths=_padded([*map(_widths, histograms), *([0.5] * 4 for _ in conditions)]),
            limits=np.array([*(h.limit for h in histograms), *(c.limit for c in conditions)]),
        )

    def distance(self, counts: Floats) -> Floats:
        """Distance of a window from the training data in each view.

        For levels and relations it is the 1-Wasserstein distance in units of `Histogram.scale`: how
        far the samples would have to move on average. For conditions it is the share of samples
        whose condition would have to change.

        Args:
            counts: number of samples of the window in each cell, `[views, CELLS]`.

        Returns:
            The distances, `[views]`.
        """
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
        ordered = len(self.edges)
        shares[:ordered] = np.cumsum(shares[:ordered], axis=1)
        distance: Floats = (np.abs(shares - self.below) * self.widths).sum(axis=1)
        return distance


def write_reference(document: Document) -> bytes:
    """The document as UTF-8 JSON; the same document gives the same bytes."""
    fields = document.model_dump(mode="json", exclude_defaults=True)
    fields = {"schema_version": document.schema_version, **fields}
    return json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def read_document(content: bytes, channels: Sequence[Channel]) -> Document | None:
    """Read a `reference.json`.

    Args:
        content: bytes of the file.
        channels: the model's inputs, in the order of the manifest.

    Returns:
        The document; None if its schema version is not 2.

    Raises:
        ManifestError: the file is not JSON, has a value that is not allowed, or describes other
            signals than those of the model.
    """
    try:
        fields: Any = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise ManifestError(f"reference.json is not JSON: {exc}") from exc
    if not isinstance(fields, Mapping) or fields.get("schema_version") != 2:  # noqa: PLR2004  this one
        return None
    try:
        document = Document.model_validate(fields)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ManifestError(f"reference.json: {place}: {first['msg']}") from exc
    _check(document, [channel.name for channel in channels])
    return document


def read_reference(content: bytes, channels: Sequence[Channel]) -> Reference | None:
    """Read the reference for drift; None if the file has no limits, so that drift is not watched.

    Raises:
        ManifestError: see `read_document`.
    """
    document = read_document(content, channels)
    return None if document is None else Reference.of(document)


def _check(document: Document, names: list[str]) -> None:
    if list(document.signals) != names:
        raise ManifestError(
            f"reference.json has the signals {list(document.signals)}, the model has {names}"
        )
    relations = [signal.relation for signal in document.signals.values()]
    lengths = [len(relation.weights) for relation in relations if relation is not None]
    if lengths and lengths != [len(names)] * len(names):
        raise ManifestError(
            f"reference.json: every signal must have a relation of {len(names)} weights, or none"
        )


def _shares(counts: Sequence[int]) -> Floats:
    shares: Floats = np.array(counts) / max(sum(counts), 1)
    return shares


def _below(histogram: Histogram) -> Floats:
    below: Floats = np.cumsum(_shares(histogram.counts))
    return below


def _widths(histogram: Histogram) -> Floats:
    """Weight of each edge in the distance: half of the two cells beside it, in units of the scale.

    The 1-Wasserstein distance is the integral of the difference of two distribution functions,
    which is computed by the trapezoidal rule. The outermost cells are open, and have no width.
    """
    if not histogram.edges:
        return np.zeros(1)
    steps = np.diff(histogram.edges, prepend=histogram.edges[0], append=histogram.edges[-1])
    widths: Floats = (steps[1:] + steps[:-1]) / 2 / histogram.scale
    return widths


def _padded(rows: Sequence[Sequence[float] | Floats], padding: float = 0.0) -> Floats:
    padded = np.full((len(rows), CELLS), padding)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded
