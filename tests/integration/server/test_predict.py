"""Rows of readings as a person types them: what they get, and what malformed ones get."""

import json
import subprocess
import time
from collections.abc import Iterator

import numpy as np
import pytest

from models.bundle.manifest import Channel, WindowSpec
from tests.kit.bundles.graphs import detector_bundle, history_bundle, linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.model_server import ModelServer, Reply
from tests.kit.waiting import eventually
from trainer.bundle.withheld_report import without_report

AT = "2026-01-31T10:00:00Z"
AT_MS = 1_769_853_600_000
GRID = WindowSpec(length=3, sample_period_ms=500, max_gap_ms=2000, trigger="period")
LARGE = WindowSpec(length=1000, sample_period_ms=1000, max_gap_ms=5000)
NAMED = (Channel(name="time"), Channel(name="asset"))
LIMITS = {"max_body_bytes": 64 << 10}
BUNDLES = (
    without_report(linear_bundle("mass", 1, [1.0, 10.0])),
    detector_bundle("alarm", 1, [1.0, 10.0], threshold=3.0),
    history_bundle("history", 1, np.full((3, 2), 1.0, np.float32)),
    linear_bundle("grid", 1, [1.0, 10.0], window=GRID),
    linear_bundle("named", 1, [1.0, 10.0], channels=NAMED),
    linear_bundle("large", 1, [1.0] * 8, window=LARGE),
)
STREAMS = [bundle.manifest.stream for bundle in BUNDLES]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server of models that add c0 and ten times c1, but `history`, which adds up its window."""
    folder = tmp_path_factory.mktemp("server")
    published = Published.create(folder)
    for bundle in BUNDLES:
        published.publish(bundle)
    streams = [{"stream": stream} for stream in STREAMS] + [{"stream": "nothing"}]
    sections = {"limits": LIMITS, "predict": {"max_rows": 2000}}
    with ModelServer(folder / "home", published, streams, sections) as made:
        made.start()
        made.wait_for_models(*(f"/v1/streams/{stream}" for stream in STREAMS))
        eventually(lambda: b"UNAVAILABLE" in made.request("GET", "/v1/streams").body)
        yield made


def predict(server: ModelServer, stream: str, readings: object, version: str = "") -> Reply:
    path = f"/v1/streams/{stream}{version}/predict"
    return server.request("POST", path, {"readings": readings})


def test_one_row_gets_what_mqtt_would_publish(server: ModelServer) -> None:
    row = {"time": AT, "asset": "l1/pump7", "c0": 1.5, "c1": 2}
    (found,) = predict(server, "mass", row).document["predictions"]
    assert found.pop("latency_ms") >= 0
    assert found.pop("input_age_ms") >= time.time() * 1000 - AT_MS - 60_000
    assert len(found.pop("id")) == 32
    assert found == {
        "value": 21.5,
        "quality": "GOOD",
        "timestamp": AT_MS,
        "asset": "l1/pump7",
        "stream": "mass",
        "version": "1.0.1",
        "seq": 1,
        "unit": "h",
    }


def test_rows_of_a_model_without_a_window_get_a_prediction_each(server: ModelServer) -> None:
    found = predict(server, "alarm", [{"c0": 1, "c1": 1}, {"c0": 1, "c1": None}]).document
    assert [
        (one["value"], one["label"], one["score"], one["quality"]) for one in found["predictions"]
    ] == [(1, "abnormal", 11.0, "GOOD"), (0, "normal", 1.0, "UNCERTAIN")]


@pytest.mark.parametrize("moment", [AT, AT_MS, float(AT_MS), "2026-01-31T11:00:00+01:00"])
def test_time_is_text_or_milliseconds(server: ModelServer, moment: object) -> None:
    (found,) = predict(server, "mass", {"c0": 1, "c1": 2, "time": moment}).document["predictions"]
    assert found["timestamp"] == AT_MS


def test_rows_without_times_are_a_period_apart_and_end_now(server: ModelServer) -> None:
    before_ms = time.time_ns() // 1_000_000
    rows = [{"asset": asset, "c0": 1, "c1": 1} for asset in "aababbba"]
    found = predict(server, "grid", rows).document["predictions"]
    assert {one["asset"]: one["timestamp"] % 500 for one in found} == {"a": 0, "b": 0}
    assert len(found) == 2
    assert all(before_ms - 2000 < one["timestamp"] < before_ms + 2000 for one in found)


def test_window_is_made_of_the_rows_of_one_asset(server: ModelServer) -> None:
    rows = [{"asset": "ab"[n % 2], "c0": n, "c1": 0} for n in range(7)]
    found = predict(server, "history", rows).document["predictions"]
    assert [(one["asset"], one["value"]) for one in found] == [("a", 6.0), ("b", 9.0), ("a", 12.0)]


def test_same_row_of_the_same_time_keeps_its_id(server: ModelServer) -> None:
    row = {"time": AT_MS, "c0": 1.5, "c1": 2}
    ids = [
        predict(server, "mass", readings).document["predictions"][0]["id"]
        for readings in (
            row,
            [row],
            row | {"asset": "mass"},
            row | {"asset": "p1"},
            row | {"c0": 1},
        )
    ]
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids)) == 3


def test_signals_named_time_and_asset_are_signals(server: ModelServer) -> None:
    row = {"time": 1, "asset": 2, "_time": AT, "_asset": "p1"}
    (found,) = predict(server, "named", row).document["predictions"]
    assert (found["value"], found["timestamp"], found["asset"]) == (21.0, AT_MS, "p1")


@pytest.mark.parametrize("version", ["1", "1.0.1"])
def test_version_may_be_named(server: ModelServer, version: str) -> None:
    named = f"/versions/{version}"
    assert predict(server, "mass", {"c0": 1, "c1": 2}, named).status == 200
    assert predict(server, "mass", {"c0": 1, "c1": 2}, "/versions/7").status == 404


BAD: dict[str, tuple[str, object, int, str]] = {
    "no rows": ("mass", [], 400, "list of objects, or one object"),
    "text": ("mass", "c0", 400, "list of objects, or one object"),
    "row of numbers": ("mass", [[1, 2]], 400, "row 0 is [1, 2]; allowed is an object"),
    "signal": ("mass", [{"c0": 1}, {"c2": 1}], 400, "row 1 has c2, which the model does not read"),
    "allowed": ("mass", {"c2": 1}, 400, "allowed are c0, c1, and beside them time and asset"),
    "no signal": ("mass", {"time": AT}, 400, "row 0 has no signal"),
    "value of text": ("mass", {"c0": "wet"}, 400, "'c0' is 'wet': text"),
    "value that is a list": (
        "mass",
        {"c0": [1]},
        400,
        "allowed are a number, true, false and null",
    ),
    "asset": ("mass", {"c0": 1, "asset": 7}, 400, "'asset' is 7; allowed is text"),
    "asset without letters": ("mass", {"c0": 1, "asset": ""}, 400, "1 to 256"),
    "asset with NUL": ("mass", {"c0": 1, "asset": "a\0b"}, 400, "printable"),
    "time of text": ("mass", {"c0": 1, "time": "noon"}, 400, "'noon' (time_malformed)"),
    "time of seconds": ("mass", {"c0": 1, "time": AT_MS // 1000}, 400, "(time_past)"),
    "time of microseconds": ("mass", {"c0": 1, "time": AT_MS * 1000}, 400, "(time_future)"),
    "time of nothing": ("mass", {"c0": 1, "time": None}, 400, "(time_missing)"),
    "some times": ("mass", [{"c0": 1, "time": AT}, {"c0": 1}], 400, "1 of 2 rows have 'time'"),
    "too many rows": ("mass", [{"c0": 1}] * 2001, 413, "allowed are 2000 (predict.max_rows)"),
    "too few rows": ("history", [{"c0": 1}] * 2, 400, "needs 3 rows of one asset at least; found"),
    "too few on a grid": ("grid", [{"c0": 1}] * 3, 400, "3 samples, which needs 4 rows"),
    "too many windows": (
        "large",
        [{"c0": 1}] * 1010,
        413,
        "bytes; allowed are 2",
    ),
    "without a model": ("nothing", {"c0": 1}, 503, "no model of 'nothing'"),
    "stream": ("weight", {"c0": 1}, 404, "there are mass"),
}


@pytest.mark.parametrize("case", BAD)
def test_rows_that_cannot_be_answered_are_refused_in_a_sentence(
    server: ModelServer, case: str
) -> None:
    stream, readings, status, said = BAD[case]
    reply = predict(server, stream, readings)
    assert (reply.status, said in reply.error) == (status, True), reply


def test_pause_and_late_rows_are_named_where_no_window_is_complete(server: ModelServer) -> None:
    rows = [{"time": AT_MS + ms, "c0": 1} for ms in (0, 500, 250, 9000, 9500)]
    error = predict(server, "grid", rows).error
    assert "found are 4 of 'grid', beside 1 that are late" in error
    assert "1 pauses longer than 2000 ms" in error


BODIES: dict[str, tuple[bytes, str]] = {
    "not json": (b"{", "not JSON"),
    "nan": (b'{"readings": {"c0": NaN}}', "NaN"),
    "key twice": (b'{"readings": {"c0": 1, "c0": 2}}', "same key twice"),
    "empty": (b"", "empty"),
    "list": (b"[]", "the body is no JSON object"),
    "another key": (b'{"readings": {"c0": 1}, "rows": 1}', "allowed is 'readings' alone"),
}


@pytest.mark.parametrize("case", BODIES)
def test_malformed_body_is_refused_in_a_sentence(server: ModelServer, case: str) -> None:
    body, said = BODIES[case]
    reply = server.request("POST", "/v1/streams/mass/predict", body)
    assert (reply.status, said in reply.error) == (400, True), reply


def test_streams_are_listed_with_what_keeps_one_from_answering(server: ModelServer) -> None:
    found = {one["stream"]: one for one in server.request("GET", "/v1/streams").document["streams"]}
    assert list(found) == [*STREAMS, "nothing"]
    assert (found["mass"]["state"], found["mass"]["versions"]) == ("READY", ["1"])
    assert found["mass"]["signals"] == ["c0", "c1"]
    assert (found["nothing"]["state"], found["nothing"]["versions"]) == ("UNAVAILABLE", [])
    assert "nothing" in found["nothing"]["reason"]


@pytest.mark.parametrize("stream", ["mass", "alarm", "history", "grid", "named"])
@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_curl_line_of_the_example_gives_the_golden_answer(
    server: ModelServer, stream: str, version: str
) -> None:
    found = server.request("GET", f"/v1/streams/{stream}{version}").document
    (bundle,) = (one for one in BUNDLES if one.manifest.stream == stream)
    assert found["manifest"] == json.loads(bundle.manifest.model_dump_json())
    assert found["sha256"] == bundle.sha256
    example, spec = found["example"], bundle.manifest.golden
    done = subprocess.run(
        ["/bin/sh", "-c", example["curl"]], capture_output=True, check=True, timeout=20
    )
    (answer,) = json.loads(done.stdout)["predictions"]
    assert answer["quality"] == "GOOD"
    for name, value in example["expected"].items():
        assert answer[name] == pytest.approx(value, rel=spec.rtol, abs=spec.atol)


def test_example_that_would_be_too_long_is_left_out(server: ModelServer) -> None:
    assert server.request("GET", "/v1/streams/large").document["example"] is None


def test_report_is_a_page_that_may_load_nothing(server: ModelServer) -> None:
    reply = server.request("GET", "/v1/streams/alarm/report")
    assert reply.body == BUNDLES[1].report
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_report_that_stays_with_its_publisher_is_not_there(server: ModelServer) -> None:
    reply = server.request("GET", "/v1/streams/mass/versions/1/report")
    assert (reply.status, "without its report" in reply.error) == (404, True)


def test_bundle_that_changed_on_disk_is_not_shown(server: ModelServer) -> None:
    (path,) = (server.state_dir / "bundles").glob(f"{BUNDLES[5].sha256}.zip")
    content = path.read_bytes()
    try:
        path.write_bytes(content.replace(BUNDLES[5].report, BUNDLES[5].report.upper()))
        reply = server.request("GET", "/v1/streams/large/report")
        assert (reply.status, "report.html" in reply.error) == (503, True)
    finally:
        path.write_bytes(content)
