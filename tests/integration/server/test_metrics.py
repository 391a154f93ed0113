"""Prometheus reads what the server has counted, and the numbers are those of the requests."""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_text

from server.metrics.families import FAMILIES
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.model_server import LOOKS, ModelServer
from tests.kit.waiting import eventually

INFER = "/v2/models/mass/infer"
ROUTE = "/v2/models/{model}/infer"
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"
DEADLY = (100.0, -100.0)
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A server whose model fails on `DEADLY`."""
    folder: Path = tmp_path_factory.mktemp("server")
    published = Published.create(folder)
    published.publish(linear_bundle("mass", 1, [1.0, -10.0], fails_above=1095.0))
    with ModelServer(folder / "home", published, [{"stream": "mass"}]) as made:
        yield made.start_serving()


def families(server: ModelServer, accept: str = "") -> list[Metric]:
    reply = server.request("GET", "/metrics", Accept=accept)
    assert reply.status == 200
    is_openmetrics = reply.headers["content-type"].startswith("application/openmetrics-text")
    assert is_openmetrics == bool(accept)
    read = read_openmetrics if is_openmetrics else read_text
    return list(read(reply.body.decode()))


def samples(server: ModelServer) -> Samples:
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in families(server)
        for one in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    """The sum of all samples of a name that have these labels."""
    wanted = set(labels.items())
    return sum(one for (key, has), one in found.items() if key == name and wanted <= has)


def asked(
    server: ModelServer, rows: int = 1, row: Sequence[float] = (1.0, 2.0), version: str = ""
) -> int:
    one: dict[str, Any] = {"name": "window", "datatype": "FP32", "shape": [rows, 1, 2]}
    body = {"inputs": [one | {"data": [*row] * rows}]}
    path = INFER.replace("/infer", f"/versions/{version}/infer") if version else INFER
    return server.request("POST", path, body).status


def is_balanced(found: Samples) -> bool:
    received = value(found, "millhand_requests_received_total")
    answered = value(found, "millhand_requests_answered_total")
    refused = value(found, "millhand_requests_refused_total")
    return received == answered + refused + value(found, "millhand_requests_under_way")


def test_both_formats_are_read_and_have_every_family(server: ModelServer) -> None:
    asked(server)
    declared = {one.name.removesuffix("_total").removesuffix("_info") for one in FAMILIES}
    for accept in ("", OPENMETRICS):
        found = families(server, accept)
        names = {one.name.removesuffix("_total").removesuffix("_info") for one in found}
        assert {name for name in names if not name.startswith("process_")} == declared
        assert all(one.documentation for one in found)
        assert len({one.name for one in found}) == len(found)


def test_requests_are_counted_by_model_version_route_and_code(server: ModelServer) -> None:
    before = samples(server)
    assert [asked(server), asked(server), asked(server, version="1")] == [200, 200, 200]
    assert asked(server, version="9") == 404
    assert server.request("POST", INFER, b"{").status == 400
    assert server.request("GET", "/v2/models/weight").status == 404
    after = samples(server)

    def more(**labels: str) -> float:
        name = "millhand_requests_total"
        return value(after, name, **labels) - value(before, name, **labels)

    assert more(model="mass", version="1", route=ROUTE, code="200") == 2
    versioned = "/v2/models/{model}/versions/{version}/infer"
    assert more(model="mass", version="1", route=versioned, code="200") == 1
    assert more(model="mass", version="", route=versioned, code="404") == 1
    assert more(model="mass", version="1", route=ROUTE, code="400") == 1
    assert more(model="", route="/v2/models/{model}", code="404") == 1
    refused = "millhand_requests_refused_total"
    for reason, count in (("not_found", 2), ("bad_request", 1), ("bug", 0)):
        assert value(after, refused, reason=reason) - value(before, refused, reason=reason) == count
    assert is_balanced(before)
    assert is_balanced(after)
    assert value(after, "millhand_requests_under_way") == 1  # that which reads it


def test_unknown_paths_and_models_are_one_label(server: ModelServer) -> None:
    rng = random.Random(3)  # noqa: S311  a seed, so that the test can be repeated
    names = ["".join(rng.choices("abc%$/", k=9)) for _ in range(40)]
    for path in ("/nothing", "/v2/models/nobody", "/metrics"):
        server.request("GET", path)
    before = set(samples(server))
    for name in names:
        server.request("GET", f"/{name}")
        server.request("GET", f"/v2/models/{name.replace('/', '')}")
    assert set(samples(server)) == before


def test_histograms_and_stages_tell_where_the_time_went(server: ModelServer) -> None:
    before = samples(server)
    assert asked(server, rows=3) == 200
    assert asked(server, rows=300) == 200  # in two runs, 256 windows at most in each
    assert asked(server, row=(1000.0, 2.0)) == 200  # out of range, so missing
    after = samples(server)

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    windows = "millhand_batch_windows"
    assert more(f"{windows}_sum", model="mass") == 304
    runs = more(f"{windows}_count", model="mass")
    assert runs >= 4
    buckets = [more(f"{windows}_bucket", le=le) for le in ("1.0", "2.0", "256.0", "+Inf")]
    assert 1 <= buckets[0] <= buckets[1] <= buckets[2]
    assert buckets[2:] == [runs, runs]  # no run has more windows than limits.max_batch
    duration = "millhand_request_duration_seconds"
    labels = {"model": "mass", "route": ROUTE, "code": "200"}
    assert more(f"{duration}_count", **labels) == 3
    assert more(f"{duration}_bucket", le="+Inf", **labels) == 3
    stages = [
        more("millhand_stage_seconds_total", model="mass", stage=stage)
        for stage in ("decode", "queue", "run", "encode")
    ]
    assert min(stages) > 0
    assert sum(stages) < more(f"{duration}_sum", **labels)
    assert 0 < more("millhand_model_run_seconds_total", model="mass") <= stages[2]


def test_run_that_fails_is_counted(server: ModelServer) -> None:
    before = samples(server)
    assert asked(server, row=DEADLY) == 500
    after = samples(server)
    for name in ("millhand_failed_runs_total", "millhand_requests_refused_total"):
        labels = {"model": "mass"} if "runs" in name else {"reason": "model"}
        assert value(after, name, **labels) - value(before, name, **labels) == 1


def test_process_is_measured(server: ModelServer) -> None:
    found = samples(server)
    for name in ("resident_memory_bytes", "cpu_seconds_total", "open_fds", "start_time_seconds"):
        assert value(found, f"process_{name}") > 0


def test_head_has_no_body(server: ModelServer) -> None:
    reply = server.request("HEAD", "/metrics")
    assert (reply.status, reply.body) == (200, b"")
    assert int(reply.headers["content-length"]) > 1000


def test_versions_that_answer_and_reloads_are_told(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0, 1.0]))
    sections = {"registry": LOOKS}
    with ModelServer(tmp_path / "home", published, [{"stream": "mass"}], sections) as server:
        server.start_serving()
        published.publish(linear_bundle("mass", 2, [1.0, 1.0]))
        eventually(lambda: asked(server, version="2") == 200, 20.0)
        published.publish(linear_bundle("mass", 3, [1.0, 1.0], golden_wrong=True))
        reloads = "millhand_model_reloads_total"
        eventually(lambda: value(samples(server), reloads, outcome="refused") > 0, 20.0)
        found = samples(server)
    assert value(found, reloads, model="mass", outcome="activated") == 2
    assert value(found, "millhand_update_failing", model="mass") == 1
    assert value(found, "millhand_model_failing", model="mass") == 0
    assert value(found, "millhand_model_versions", model="mass") == 1
    labels = {"model": "mass", "version": "2", "semantic_version": "1.0.2", "role": "default"}
    assert value(found, "millhand_model_info", **labels) == 1
    assert value(found, "millhand_model_info") == 1
    assert is_balanced(found)


def test_path_is_not_there_where_it_is_switched_off(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    sections = {"metrics": {"enabled": False}}
    server = ModelServer(tmp_path / "home", published, [{"stream": "mass"}], sections)
    with server:
        assert server.start().request("GET", "/metrics").status == 404
