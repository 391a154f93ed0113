"""The same rows, by MQTT through an agent, by HTTP and by gRPC, get the same predictions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from tritonclient.grpc import InferInput

from models.bundle.manifest import Channel, WindowSpec
from models.bundle.package import Bundle
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import detector_bundle, history_bundle, linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.model_calls import client_of
from tests.kit.model_server import ModelServer
from tests.kit.waiting import eventually

BEGIN_MS = 1_750_000_000_000
START_S = 120.0
"""The agent proves six bundles, each in a process of its own, before it subscribes."""
ANSWERS_S = 120.0
MEASURED = ("latency_ms", "input_age_ms")
"""Keys of a prediction that are measured on the way, and so differ from way to way."""
REQUIRED = (
    Channel(name="c0", valid_range=(-100.0, 100.0)),
    Channel(name="c1", valid_range=(-100.0, 100.0), missing="require"),
)
HELD = (Channel(name="c0", max_age_ms=2500), Channel(name="c1", valid_range=(-100.0, 100.0)))
SPARSE = WindowSpec(length=3, hop=2, sample_period_ms=1000, max_gap_ms=4000)
MESSAGES = WindowSpec(length=2, max_gap_ms=5000, trigger="every_reading")
GRID = WindowSpec(length=2, sample_period_ms=1000, max_gap_ms=6000, trigger="period")
BUNDLES: Mapping[str, Bundle] = {
    "row": detector_bundle("row", 1, [1.0, 10.0], threshold=3.0),
    "required": linear_bundle("required", 1, [1.0, 10.0], channels=REQUIRED),
    "history": history_bundle("history", 1, np.full((4, 2), 0.25, np.float32)),
    "sparse": linear_bundle("sparse", 1, [1.0, 10.0], channels=REQUIRED, window=SPARSE),
    "messages": linear_bundle("messages", 1, [1.0, 10.0], channels=HELD, window=MESSAGES),
    "grid": linear_bundle("grid", 1, [1.0, 10.0], channels=HELD, window=GRID),
}

Row = dict[str, Any]


def rows() -> list[tuple[str, Row]]:
    """Rows of two assets: missing, out of range, late, repeated, and with pauses between them."""
    drawn = np.random.default_rng(13)
    made: list[tuple[str, Row]] = []
    at_ms = {"l1/p1": BEGIN_MS, "l2/p2": BEGIN_MS + 300}
    for number in range(400):
        asset = "l1/p1" if drawn.random() < 0.6 else "l2/p2"
        at_ms[asset] += 9000 if drawn.random() < 0.04 else int(drawn.integers(700, 1300))
        time_ms = at_ms[asset] - (2500 if drawn.random() < 0.05 else 0)
        row: Row = {"time": time_ms, "c0": round(drawn.normal(), 3), "c1": round(drawn.normal(), 6)}
        chance = drawn.random()
        if chance < 0.08:
            row["c0"] = None
        elif chance < 0.14:
            row["c1"] = 1e9
        elif chance < 0.18:
            del row["c1"]
        elif chance < 0.22:
            row |= {"c0": None, "c1": None}
        made.append((asset, row))
        if number % 50 == 49:
            made.append(made[-1])
    return made


@dataclass
class Both:
    """What both ways have answered to `rows`.

    Attributes:
        server: the server, for more questions.
        over_mqtt: predictions by stream, in the order in which they were published.
    """

    server: ModelServer
    over_mqtt: Mapping[str, Sequence[Row]]

    def over_http(self, stream: str) -> Row:
        readings = [row | {"asset": asset} for asset, row in rows()]
        answer = self.server.request(
            "POST", f"/v1/streams/{stream}/predict", {"readings": readings}
        )
        assert answer.status == 200, answer
        document: Row = answer.document
        return document


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder: Path = tmp_path_factory.mktemp("one-truth")
    published = Published.create(folder)
    for bundle in BUNDLES.values():
        published.publish(bundle)
    streams = [{"stream": stream} for stream in BUNDLES]
    with ModelServer(folder / "server", published, streams, {"grpc": {"port": 0}}) as server:
        server.start_serving()
        yield Both(server, _over_mqtt(folder))


def _over_mqtt(folder: Path) -> Mapping[str, Sequence[Row]]:
    pipelines = [telemetry_pipeline(stream, timestamp="time") for stream in BUNDLES]
    often: dict[str, dict[str, object]] = {"limits": {"metrics_s": 0.2}}
    with (
        mosquitto(folder / "broker", max_queued_messages=0) as broker,
        PlantClient(broker.port, ["plant/+/+/_inference/#", "millhand/#"]) as client,
        Gateway(folder / "gw", broker.port, pipelines, sections=often) as gateway,
    ):
        for bundle in BUNDLES.values():
            gateway.keep(bundle)
        gateway.start().wait_for_log("INFO subscribed", timeout_s=START_S)
        for asset, row in rows():
            client.publish(f"plant/{asset}/telemetry", orjson.dumps(row))
        client.flush()
        eventually(lambda: _is_done(client), ANSWERS_S, "all rows to be answered")
        found: dict[str, list[Row]] = {stream: [] for stream in BUNDLES}
        for answer in client.documents("_inference"):
            found[answer["stream"]].append(answer)
        return found


def _is_done(client: PlantClient) -> bool:
    """Whether the agent has told of all rows, and that none of them waits."""
    told = client.latest("millhand/gw1/metrics")
    return told is not None and told["received"] == len(rows()) and told["waiting"] == 0


def compared(answers: Sequence[Row]) -> list[Row]:
    """Predictions without what is measured on the way."""
    return [{key: value for key, value in one.items() if key not in MEASURED} for one in answers]


@pytest.mark.parametrize("stream", BUNDLES)
def test_posted_rows_get_the_predictions_that_mqtt_publishes(both: Both, stream: str) -> None:
    over_http = compared(both.over_http(stream)["predictions"])
    assert over_http == compared(both.over_mqtt[stream])
    assert len(over_http) > 30


def test_rows_bring_every_quality_and_reason(both: Both) -> None:
    """What the comparison above would not show if it did not happen."""
    answers = [one for answered in both.over_mqtt.values() for one in answered]
    reasons = {(one["quality"], one.get("reason")) for one in answers}
    assert reasons >= {
        ("GOOD", None),
        ("UNCERTAIN", None),
        ("BAD", "input_missing"),
        ("BAD", "answer_not_finite"),
    }


@pytest.mark.parametrize("stream", ["history", "sparse", "messages", "grid"])
def test_rows_that_are_not_used_are_told_with_the_reason(both: Both, stream: str) -> None:
    sent = rows()
    dropped = both.over_http(stream)["dropped"]
    assert {one["reason"] for one in dropped} == {"late", "duplicate"}
    repeated = {number for number in range(1, len(sent)) if sent[number] == sent[number - 1]}
    assert {one["row"] for one in dropped if one["reason"] == "duplicate"} <= repeated


@pytest.mark.parametrize("stream", ["row", "required"])
def test_windows_over_the_inference_protocol_get_the_same_answers(both: Both, stream: str) -> None:
    """JSON, raw bytes, and gRPC; windows that are BAD over MQTT are refused there, and left out."""
    told = both.over_http(stream)
    answered, unused = told["predictions"], {one["row"] for one in told["dropped"]}
    sent = [
        [float("nan") if row.get(name) is None else row[name] for name in ("c0", "c1")]
        for number, (_, row) in enumerate(rows())
        if number not in unused
    ]
    assert len(answered) == len(sent)
    kept = [number for number, one in enumerate(answered) if one["value"] is not None]
    windows = np.array(sent)[kept][:, None, :]
    path = f"/v2/models/{stream}/infer"
    one: Row = {"name": "window", "datatype": "FP32", "shape": list(windows.shape)}
    in_json = json.dumps({"inputs": [one | {"data": windows.ravel().tolist()}]}).encode()
    by_name = {
        output["name"]: output["data"]
        for output in both.server.request("POST", path, in_json).document["outputs"]
    }
    raw = windows.astype("<f4").tobytes()
    reply = both.server.request("POST", path, raw, Inference_Header_Content_Length="0")
    end = int(reply.headers["inference-header-content-length"])
    dtype = "<i8" if stream == "row" else "<f4"
    binary = np.frombuffer(reply.body[end:], dtype, len(kept)).tolist()
    assert [answered[number]["value"] for number in kept] == by_name["value"] == binary
    assert [answered[number]["quality"] for number in kept] == by_name["quality"]
    tensor = InferInput("window", list(windows.shape), "FP32").set_data_from_numpy(
        windows.astype(np.float32)
    )
    with closing(client_of(both.server)) as client:
        called = client.infer(stream, [tensor])
    assert called.as_numpy("value").tolist() == binary
    assert [one.decode() for one in called.as_numpy("quality")] == by_name["quality"]
