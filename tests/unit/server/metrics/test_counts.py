"""What workers have counted is added up, and the sum holds when one of them dies."""

from server.http.refusals import WORKER_DIED
from server.metrics import families
from server.metrics.counts import (
    Counts,
    begun,
    bounded,
    key,
    left_of,
    merged,
    rule_of,
    samples,
    statistics_of,
)

RECEIVED, ANSWERED = key(families.RECEIVED), key(families.ANSWERED)
UNDER_WAY, DIED = key(families.UNDER_WAY), key(families.REFUSED, WORKER_DIED)
VERSIONS = key(families.VERSIONS, "mass")


def worker(received: float, under_way: float, versions: float = 1) -> Counts:
    return {
        "kept": {RECEIVED: received, ANSWERED: received - under_way},
        "now": {UNDER_WAY: under_way},
        "least": {VERSIONS: versions},
    }


def test_counters_are_summed_and_the_worker_with_fewest_versions_counts() -> None:
    found = merged([worker(10, 2), worker(5, 1, versions=0)])
    assert found["kept"] == {RECEIVED: 15, ANSWERED: 12}
    assert found["now"] == {UNDER_WAY: 3}
    assert found["least"] == {VERSIONS: 0}


def test_worker_that_has_died_goes_on_to_count_and_its_requests_have_failed() -> None:
    found = merged([left_of(worker(10, 2)), worker(5, 1)])
    kept, now = found["kept"], found["now"]
    assert kept[RECEIVED] == 15
    assert kept[RECEIVED] == kept[ANSWERED] + kept[DIED] + now[UNDER_WAY]
    assert (kept[DIED], now[UNDER_WAY]) == (2, 1)


def test_server_begins_before_its_workers() -> None:
    later = begun(200.0)
    assert merged([begun(100.0), later]) == merged([begun(100.0)])


def test_versions_that_are_long_gone_are_not_kept() -> None:
    ended = {
        key(families.REQUESTS, "mass", str(seq), "/infer", "200"): 1.0 for seq in range(1, 101)
    }
    answered = {
        one: value
        for seq in range(1, 101)
        for one, value in statistics_of("mass", str(seq), {"windows": 1.0}).items()
    }
    unversioned = {RECEIVED: 100.0, key(families.REQUESTS, "", "", "none", "404"): 1.0}
    left = bounded({"kept": {**ended, **answered, **unversioned}})
    versions = {labels["version"] for _, _, labels, _ in samples(left) if labels.get("version")}
    assert versions == {str(seq) for seq in range(88, 101)}
    assert unversioned.items() <= left["kept"].items()


def test_every_family_has_a_rule_that_fits_its_kind() -> None:
    for one in families.FAMILIES:
        rule = rule_of(one.name.removesuffix("_total").removesuffix("_info"), one.kind)
        assert (rule == "kept") == (one.kind in {"counter", "histogram"})
        if one.kind == "info":
            assert rule == "most"
