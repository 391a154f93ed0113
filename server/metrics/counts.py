"""What a worker has counted, in a form that can be sent and added to that of others.

Samples are sorted by what becomes of them where there are several workers, and once a worker has
died:

    kept    counters and histograms: summed; those of a worker that has died go on to count
    now     gauges such as open connections: summed over the workers that live
    most    what is the same in all but for a moment, such as which version answers: the largest
    least   versions that answer, and the start of the process: that of the least
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import orjson

from models.control.families import Family
from server.http.refusals import WORKER_DIED
from server.http.request import NO_ROUTE
from server.metrics import families

Counts = dict[str, dict[str, float]]
"""Values by key (see `key`), by what becomes of them."""
_RULES: Final[Mapping[str, Callable[[float, float], float]]] = {
    "kept": operator.add,
    "now": operator.add,
    "most": max,
    "least": min,
}
_STATISTICS: Final = "statistics"
_BY_VERSION: Final = frozenset({families.REQUESTS.name.removesuffix("_total"), _STATISTICS})
_MOST_VERSIONS: Final = 13  # ten that may answer, and three that do no more
_MOST: Final = frozenset({families.FAILING.name, families.UPDATE_FAILING.name})
_START: Final = "process_start_time_seconds"  # of prometheus_client
_LEAST: Final = frozenset({families.VERSIONS.name, _START})


def key(family: Family, *labels: str) -> str:
    """The key of the only sample of a counter or gauge with these labels."""
    stem = family.name.removesuffix("_total")
    return key_of(stem, family.name, dict(zip(family.labels, labels, strict=True)))


def key_of(family: str, name: str, labels: Mapping[str, str]) -> str:
    """The key of a sample: the name of its family, its own name, and its labels."""
    return orjson.dumps([family, name, labels]).decode()


def begun(time_s: float) -> Counts:
    """The start of the server, in seconds since 1970, which is before that of its workers."""
    return {"least": {key_of(_START, _START, {}): time_s}}


def merged(counted: Iterable[Counts]) -> Counts:
    """What several workers have counted, as one."""
    found: Counts = {rule: {} for rule in _RULES}
    for one in counted:
        for rule, values in one.items():
            sums, combine = found[rule], _RULES[rule]
            for name, value in values.items():
                sums[name] = combine(sums[name], value) if name in sums else value
    return found


def left_of(counts: Counts) -> Counts:
    """What is left of a worker that has ended: its requests under way have failed with it."""
    kept = counts.get("kept", {})
    lost = counts.get("now", {}).get(key(families.UNDER_WAY), 0)
    ends = {key(families.REFUSED, WORKER_DIED): lost}
    if lost:
        ends[key(families.REQUESTS, "", "", NO_ROUTE, "none")] = lost
    return {"kept": merged([{"kept": kept}, {"kept": ends}])["kept"]}


def statistics_of(model: str, version: str, values: Mapping[str, float]) -> dict[str, float]:
    """What a version has answered, by key; it is no metric, and for `/v2/models/stats`."""
    labels = {"model": model, "version": version}
    return {key_of(_STATISTICS, name, labels): value for name, value in values.items()}


def bounded(counts: Counts) -> Counts:
    """The same without what was counted by versions that are long gone."""
    versions: dict[str, set[int]] = {}
    found = [one for one in samples(counts) if one[0] in _BY_VERSION and one[2]["version"]]
    for _, _, labels, _ in found:
        versions.setdefault(labels["model"], set()).add(int(labels["version"]))
    oldest = {model: sorted(seqs)[-_MOST_VERSIONS:][0] for model, seqs in versions.items()}
    gone = {
        key_of(family, name, labels)
        for family, name, labels, _ in found
        if int(labels["version"]) < oldest[labels["model"]]
    }
    return {
        rule: {name: value for name, value in values.items() if name not in gone}
        for rule, values in counts.items()
    }


def lacks_a_model(counts: Counts) -> bool:
    """Whether a stream of a worker has no version that answers."""
    least = samples({"least": counts["least"]})
    return any(name == families.VERSIONS.name and not value for _, name, _, value in least)


def rule_of(name: str, kind: str) -> str:
    """What becomes of the samples of a family.

    Args:
        name: name of the family.
        kind: its type, as prometheus_client calls it.
    """
    if kind in {"counter", "histogram"}:
        return "kept"
    if name in _LEAST:
        return "least"
    return "most" if kind == "info" or name in _MOST else "now"


def samples(counts: Counts) -> Iterator[tuple[str, str, dict[str, str], float]]:
    """Each value with the name of its family, that of its sample, and its labels."""
    for values in counts.values():
        for one, value in values.items():
            family, name, labels = orjson.loads(one)
            yield family, name, labels, value
