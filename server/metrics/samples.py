"""Families with their samples, as prometheus_client writes them."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from models.control.families import Family
from server.metrics import counts
from server.metrics.counts import Counts
from serving.histogram import Histogram

Labelled = tuple[Sequence[str], float]
"""Values of the labels, in the order of the family's, and the value of the sample."""


def plain(family: Family, samples: Iterable[Labelled]) -> Metric:
    """A family of counters or gauges."""
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    made = kind(family.name, family.meaning, labels=family.labels)
    for labels, value in samples:
        made.add_metric(labels, value)
    return made


def info(family: Family, samples: Iterable[Sequence[str]]) -> Metric:
    """A family whose labels say everything; the value is 1."""
    name = family.name.removesuffix("_info")
    made = InfoMetricFamily(name, family.meaning, labels=family.labels)
    for labels in samples:
        made.add_metric(labels, {})
    return made


def histogram(
    family: Family, samples: Iterable[tuple[Sequence[str], Histogram]], units: int = 1
) -> Metric:
    """A family of histograms.

    Args:
        family: the family.
        samples: values of the labels, and what was counted.
        units: how many of what was counted make one unit of the family.
    """
    made = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, counted in samples:
        buckets = [(floatToGoString(le / units), count) for le, count in counted.cumulative]
        made.add_metric(labels, buckets, counted.total / units)
    return made


def counted(metrics: Iterable[Metric]) -> Counts:
    """What a worker sends of its families."""
    found: Counts = {}
    for one in metrics:
        values = found.setdefault(counts.rule_of(one.name, one.type), {})
        for sample in one.samples:
            values[counts.key_of(one.name, sample.name, sample.labels)] = sample.value
    return found


def of_all(metrics: Iterable[Metric], totals: Counts) -> Iterator[Metric]:
    """The same families with the samples of all workers."""
    found: dict[str, list[Sample]] = {}
    for family, name, labels, value in counts.samples(totals):
        found.setdefault(family, []).append(Sample(name, labels, value))
    for one in metrics:
        one.samples = found.get(one.name, [])
        yield one
