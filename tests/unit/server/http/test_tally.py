"""Requests are counted by what they were about, and what is long gone is dropped."""

from server.http.tally import UNSENT, Kind, Tally

ROUTE = "/v2/models/{model}/infer"


def ended(tally: Tally, model: str, version: str, status: int = 200, reason: str = "") -> None:
    tally.begin()
    tally.end(Kind(model, version, ROUTE, status), 2_000_000, reason)


def test_versions_that_are_long_gone_are_dropped_and_the_counters_still_balance() -> None:
    tally = Tally()
    for seq in range(1, 13):
        ended(tally, "mass", str(seq))
        ended(tally, "mass", str(seq), 400, "bad_request")
    ended(tally, "weight", "1")
    ended(tally, "mass", "", 404, "not_found")
    tally.forget({"mass": {"12", "7"}, "weight": {"2"}})
    kept = [(kind.model, kind.version) for kind in tally.series]
    # Those that answer, and three that do so no more: 11 is newer than 9.
    assert set(kept) == {("mass", seq) for seq in ("", "7", "9", "10", "11", "12")} | {
        ("weight", "1")
    }
    assert len(kept) == 5 * 2 + 2
    assert (tally.received, tally.answered, tally.under_way) == (26, 13, 0)
    assert tally.refused == {"bad_request": 12, "not_found": 1}
    durations = {kind: list(one.cumulative)[-1][1] for kind, one in tally.durations.items()}
    assert durations[Kind("mass", "", ROUTE, 200)] == 12


def test_duration_counts_for_the_first_bound_that_is_not_below_it() -> None:
    tally = Tally()
    for elapsed_ns in (1, 1_000_000, 1_000_001, 40_000_000_000):
        tally.begin()
        tally.end(Kind("mass", "1", ROUTE, 200), elapsed_ns, "")
    (one,) = tally.durations.values()
    cumulative = {bound / 1e9: count for bound, count in one.cumulative}
    assert cumulative[0.0001] == 1
    assert cumulative[0.001] == 2
    assert cumulative[0.0025] == 3
    assert cumulative[30.0] == 3
    assert cumulative[float("inf")] == 4
    assert one.total == 40_002_000_002


def test_request_that_was_never_begun_is_refused_and_counted() -> None:
    tally = Tally()
    tally.begin()
    tally.drop("client_gone")
    tally.refuse_unread("headers", 431)
    assert (tally.received, tally.answered, tally.under_way) == (2, 0, 0)
    assert tally.refused == {"client_gone": 1, "headers": 1}
    assert tally.unread == {UNSENT: 1, 431: 1}
