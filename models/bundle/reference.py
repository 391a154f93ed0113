"""What the signals and the score looked like in training: the bundle's `reference.json`.

Its schema version 2 says how drift is judged (`models/drift.py`). Of version 1, which had no
limits, nothing is read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.bundle.manifest import Channel, Finite
from models.errors import ManifestError

BINS: Final = 10
"""Equally full, of a quantity that takes many values."""
CELLS: Final = BINS + 6
"""Of a view at most: three more on either side are beyond all that was seen."""
CONDITIONS: Final = ("ordinary", "repeated", "outside", "missing")
SCORE: Final = "score"
MIN_WINDOW: Final = 40
MAX_WINDOW: Final = 1_000_000

Floats = NDArray[np.float64]
Positive = Annotated[Finite, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Histogram(_Frozen):
    """How many training samples were in each cell.

    Attributes:
        edges: between the cells, rising; a sample at an edge belongs to the cell above.
        counts: one more than there are edges.
        scale: what one unit of distance is, in the unit of the edges.
        limit: of the distance to these counts, beyond which it is drift.
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
    """A signal less what the others tell of it: standardised signals times `weights`."""

    weights: tuple[Finite, ...]


class Condition(_Frozen):
    """How many training samples repeated the one before, were outside or missing, or neither."""

    counts: Annotated[tuple[Count, ...], Field(min_length=4, max_length=4)]
    limit: Positive = 1.0


class Quantity(_Frozen):
    """A signal or the score; `mean` to `quantiles` are those of the `count` samples with a value.

    Attributes:
        outside: the values beyond which it is far from everything seen; None if nothing was.
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
    """How drift is judged.

    Attributes:
        window: samples of one asset that are compared at once.
        false_alarms: share of the windows of undisturbed data that are an alarm all the same.
        judged: windows of training data, held out, that the limits were measured on.
        independent: how many separate stretches the most unusual of them came from; with few, the
            limits are wide.
    """

    statistic: Literal["wasserstein"] = "wasserstein"
    window: Annotated[int, Field(ge=MIN_WINDOW, le=MAX_WINDOW)]
    false_alarms: Annotated[Finite, Field(gt=0, lt=1)]
    judged: Count = 0
    independent: Count = 0


class Document(_Frozen):
    """The whole file; without `drift`, which `reason` explains, none is looked for."""

    schema_version: Literal[2] = 2
    signals: dict[str, Quantity]
    score: Quantity
    drift: Judgement | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What drift is judged by, as arrays. A view is a quantity and a way to look at it.

    Attributes:
        names: the signals, and last the score.
        window: samples of an asset that are compared at once.
        false_alarms: share of the windows of undisturbed data that are an alarm all the same.
        low, high: the values between which a quantity is not outside, `[quantities]`.
        mean, scale: of the signals, `[channels]`.
        weights: standardised signals times this are the relations, `[channels, channels]`; None
            where there are none.
        edges: of the cells of levels and relations, `[views, CELLS - 1]`, inf where there is none.
        views: quantity and kind; all levels, then all relations, then all conditions.
        below: share of the training samples in each cell and those before it, `[views, CELLS]`; of
            conditions the share in each.
        widths: what a difference in `below` adds to the distance, `[views, CELLS]`.
        limits: of each view's distance, `[views]`.
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
        """The arrays of a document that says how drift is judged; None of any other."""
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
            edges=_padded([one.edges for one in histograms], np.inf)[:, :-1],
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
        """How far counts `[views, CELLS]` are from the training part, by view.

        Of levels and relations it is the 1-Wasserstein distance in units of their scale: how far
        the samples would have to be moved. Of conditions it is the share that would have to change.
        """
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
        ordered = len(self.edges)
        shares[:ordered] = np.cumsum(shares[:ordered], axis=1)
        distance: Floats = (np.abs(shares - self.below) * self.widths).sum(axis=1)
        return distance


def write_reference(document: Document) -> bytes:
    """UTF-8 JSON, the same bytes for the same document."""
    fields = document.model_dump(mode="json", exclude_defaults=True)
    fields = {"schema_version": document.schema_version, **fields}
    return json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def read_document(content: bytes, channels: Sequence[Channel]) -> Document | None:
    """Read a `reference.json`; None if it is of another schema version than 2.

    Raises:
        ManifestError: not JSON, a value out of bounds, or not the model's signals.
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
    """What drift of a model with these signals is judged by; None if it is not.

    Raises:
        ManifestError: see `read_document`.
    """
    document = read_document(content, channels)
    return None if document is None else Reference.of(document)


def _check(document: Document, names: list[str]) -> None:
    if list(document.signals) != names:
        raise ManifestError(
            f"reference.json is of the signals {list(document.signals)}, the model's are {names}"
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
    """Of the cells that two cumulative shares differ in: half of that on either side of an edge."""
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
