"""One bundle, five ways: MQTT, predict, and the inference protocol in JSON, in bytes, by gRPC.

Trained on public recordings, published, pulled by a gateway and by a server. Answers are equal to
the bit, whatever the way.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest
from numpy.typing import NDArray
from tritonclient.grpc import InferInput

from models.bundle.package import Bundle
from serving.publishing.keys import Keys
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import telemetry_pipeline
from tests.kit.model_calls import client_of
from tests.kit.model_server import ModelServer
from tests.realdata.line import Answer, cut, line, trained_once
from tests.realdata.test_stream import CMAPSS_COLUMNS

RECIPES_BY_STREAM = {"skab-valve": "skab", "turbofan-rul": "cmapss", "milling-failure": "ai4i"}
BEGIN_MS = 1_750_000_000_000
MEASURED = {"latency_ms", "input_age_ms"}
ENGINES = range(1, 16)

pytestmark = pytest.mark.usefixtures("data")


@dataclass(frozen=True)
class Sent:
    """What one recording has sent.

    Attributes:
        bundle: the model.
        rows: asset and row, in the order of sending.
        windows: float32 `[n, length, channels]` by asset, cut by NumPy.
    """

    bundle: Bundle
    rows: Sequence[tuple[str, Answer]]
    windows: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Answered:
    """The recordings, what MQTT has answered to them, and a server to ask."""

    sent: Mapping[str, Sent]
    over_mqtt: Mapping[str, Sequence[Answer]]
    server: ModelServer


@pytest.fixture(scope="module")
def answered(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answered]:
    folder = tmp_path_factory.mktemp("one-truth")
    bundles = {stream: trained_once(name) for stream, name in RECIPES_BY_STREAM.items()}
    tables = {
        "skab-valve": _skab(data),
        "turbofan-rul": _cmapss(data),
        "milling-failure": _ai4i(data),
    }
    sent = {stream: _sent(bundles[stream], table) for stream, table in tables.items()}
    pipelines = [_pipeline(stream) for stream in sent]
    with line(folder, list(bundles.values()), pipelines) as made:
        for stream, recording in sent.items():
            for asset, row in recording.rows:
                topic = f"plant/{stream}/{asset}/telemetry"
                made.scada.publish(topic, orjson.dumps(row))
        made.scada.flush()
        count = sum(len(found) for one in sent.values() for found in one.windows.values())
        answers = made.answers(count)
    by_stream = {stream: [one for one in answers if one["stream"] == stream] for stream in sent}
    published = Published(folder / "registry", Keys(folder / "keys"))
    streams = [{"stream": stream} for stream in sent]
    sections = {"grpc": {"port": 0}}
    with ModelServer(folder / "server", published, streams, sections) as server:
        yield Answered(sent, by_stream, server.start_serving())


@pytest.mark.parametrize("stream", RECIPES_BY_STREAM)
def test_answers_are_equal_to_the_bit_on_every_way(
    answered: Answered, stream: str, figure: Callable[[str], None]
) -> None:
    sent, over_mqtt = answered.sent[stream], answered.over_mqtt[stream]
    rows = [row | {"asset": asset} for asset, row in sent.rows]
    reply = answered.server.request("POST", f"/v1/streams/{stream}/predict", {"readings": rows})
    predicted = reply.document["predictions"]
    assert _compared(predicted) == _compared(over_mqtt)
    # A full turn of the agent leaves reasons out; where both give them they are the same.
    both = [
        (one["why"], two["why"])
        for one, two in zip(predicted, over_mqtt, strict=True)
        if "why" in one and "why" in two
    ]
    assert all(one == two for one, two in both)
    for asset, windows in sent.windows.items():
        own = [one for one in over_mqtt if one["asset"] == asset]
        in_json, binary = _inferred(answered.server, sent.bundle, windows)
        by_grpc = _called(answered.server, stream, windows)
        for name in {"value", "score"} & in_json.keys():
            assert [one[name] for one in own] == in_json[name] == binary[name], (asset, name)
            assert by_grpc[name] == binary[name], (asset, name)
        assert [one["quality"] for one in own] == in_json["quality"] == by_grpc["quality"]
    figure(f"{stream}: {len(over_mqtt)} predictions on {len(rows)} rows equal on five ways")


def _inferred(
    server: ModelServer, bundle: Bundle, windows: NDArray[np.float32]
) -> tuple[Mapping[str, list[object]], Mapping[str, list[object]]]:
    """The outputs by name, asked in JSON and in raw bytes."""
    path = f"/v2/models/{bundle.manifest.stream}/infer"
    one = {"name": "window", "datatype": "FP32", "shape": windows.shape}
    body = json.dumps({"inputs": [one | {"data": windows.ravel().tolist()}]}).encode()
    outputs = server.request("POST", path, body).document["outputs"]
    in_json = {output["name"]: output["data"] for output in outputs}
    raw = windows.astype("<f4").tobytes()
    reply = server.request("POST", path, raw, Inference_Header_Content_Length="0")
    at = int(reply.headers["inference-header-content-length"])
    binary: dict[str, list[object]] = {}
    for output in json.loads(reply.body[:at])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        dtype = {"FP32": "<f4", "INT64": "<i8"}.get(output["datatype"])
        if dtype is not None:
            binary[output["name"]] = np.frombuffer(reply.body[at : at + size], dtype).tolist()
        at += size
    return in_json, binary


def _called(
    server: ModelServer, stream: str, windows: NDArray[np.float32]
) -> Mapping[str, list[object]]:
    """The outputs by name, asked over gRPC in raw bytes."""
    tensor = InferInput("window", list(windows.shape), "FP32").set_data_from_numpy(windows)
    with closing(client_of(server)) as client:
        found = client.infer(stream, [tensor])
    outputs = {one.name: found.as_numpy(one.name) for one in found.get_response().outputs}
    quality = [one.decode() for one in outputs.pop("quality")]
    return {"quality": quality} | {name: values.tolist() for name, values in outputs.items()}


def _compared(answers: Sequence[Answer]) -> list[Answer]:
    """Predictions, ids and times included, without what is measured on the way."""
    left_out = {*MEASURED, "why"}
    return [{key: value for key, value in one.items() if key not in left_out} for one in answers]


def _sent(bundle: Bundle, tables: Mapping[str, pd.DataFrame]) -> Sent:
    """The rows of several assets in turn, a sample period apart, and the windows in them."""
    length = bundle.manifest.window.length
    period_ms = bundle.manifest.window.sample_period_ms or 1000
    names = [channel.name for channel in bundle.manifest.channels]
    rows = [
        (
            number,
            asset,
            {"time": BEGIN_MS + round(number * period_ms)}
            | {str(name): row[name] for name in names},
        )
        for asset, table in tables.items()
        for number, row in enumerate(table[names].to_dict("records"))
    ]
    ordered = [(asset, row) for _, asset, row in sorted(rows, key=lambda row: row[0])]
    return Sent(bundle, ordered, {name: cut(one[names], length) for name, one in tables.items()})


def _pipeline(stream: str) -> dict[str, object]:
    return telemetry_pipeline(stream, topic=f"plant/{stream}/{{asset}}/telemetry", timestamp="time")


def _skab(data: Path) -> Mapping[str, pd.DataFrame]:
    table = pd.read_csv(data / "skab" / "valve1" / "1.csv", sep=";")
    return {"valve1": table.rename(columns={"Volume Flow RateRMS": "VolumeFlowRateRMS"})}


def _cmapss(data: Path) -> Mapping[str, pd.DataFrame]:
    table = pd.read_csv(data / "cmapss" / "test_FD001.txt.gz", sep=r"\s+", header=None)
    table.columns = pd.Index(CMAPSS_COLUMNS.split())
    return {f"engine-{one}": table[table["engine"] == one] for one in ENGINES}


def _ai4i(data: Path) -> Mapping[str, pd.DataFrame]:
    table = pd.read_csv(data / "ai4i2020" / "ai4i2020.csv").iloc[:2000]
    table.columns = table.columns.str.strip().str.lower()
    return {"mill": table.replace({"type": {"L": 0, "M": 1, "H": 2}})}
