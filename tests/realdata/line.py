"""A line of a plant: broker, gateway and SCADA system, with bundles trained, published and pulled.

What the gateway answers is held against an oracle that knows nothing of ours but the bundle's
graph: pandas reads the files, NumPy cuts the windows, onnxruntime answers them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.bundle.package import Bundle, read_bundle
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import PlantClient, push
from tests.kit.waiting import eventually
from trainer.__main__ import main

RECIPES = Path(__file__).parent / "recipes"
_SERVING_S = 120.0
_ANSWERS_S = 120.0

Answer = dict[str, Any]


@dataclass
class Line:
    """A gateway that runs trained bundles, and a SCADA system that hears it."""

    broker: Mosquitto
    scada: PlantClient
    gateway: Gateway

    def replay(self, recipe: Path, *arguments: str) -> None:
        """Play recorded files with the product's own command."""
        to = f"127.0.0.1:{self.broker.port}"
        trainer("replay", *arguments, "--recipe", str(recipe), "--broker", to, "--speed", "max")

    def answers(self, count: int) -> list[Answer]:
        """All predictions, at least `count`, after the gateway has said that nothing waits."""
        eventually(
            lambda: self.scada.count("_inference") >= count,
            _ANSWERS_S,
            f"{count} predictions\n{self.gateway.log}",
        )
        metrics = self.scada.count("metrics")
        self.scada.wait_for("metrics", metrics + 2)
        assert self.scada.documents("metrics")[-1]["waiting"] == 0
        return self.scada.documents("_inference")

    def is_serving(self, bundle: Bundle) -> bool:
        """Whether the gateway says that this very bundle runs."""
        told = self.scada.latest(f"millhand/gw1/current/{bundle.manifest.stream}")
        return told is not None and told["state"] == "serving" and told["sha256"] == bundle.sha256


@contextmanager
def line(
    folder: Path, bundles: Sequence[Bundle], pipelines: list[dict[str, object]]
) -> Iterator[Line]:
    """Publish, start a gateway without a model, push, and wait until it serves them all."""
    published = Published.create(folder)
    for bundle in bundles:
        published.publish(bundle)
    with (
        mosquitto(folder / "broker", max_queued_messages=0) as broker,
        PlantClient(broker.port, ["plant/#", "millhand/#"]) as scada,
        Gateway(
            folder / "gw",
            broker.port,
            pipelines,
            registry=published.url,
            root=published.keys.root,
            sections={"limits": {"metrics_s": 0.5}},
        ) as gateway,
    ):
        gateway.start_serving()
        for bundle in bundles:
            push(scada, bundle.manifest.stream, bundle.manifest.seq)
        made = Line(broker, scada, gateway)
        eventually(lambda: all(map(made.is_serving, bundles)), _SERVING_S, gateway.log)
        yield made


def trained(recipe: Path, out: Path) -> Bundle:
    """Train with the product's own command; `out` is a folder of this bundle's own."""
    trainer("train", str(recipe), "--out", str(out))
    (path,) = out.glob("*.zip")
    return read_bundle(path.read_bytes())


@cache
def trained_once(name: str) -> Bundle:
    """The bundle of one of `RECIPES`, by its name, for all tests of this process."""
    with TemporaryDirectory() as out:
        return trained(RECIPES / f"{name}.toml", Path(out))


def trainer(*arguments: str) -> None:
    """Run `millhand-trainer` to its end."""
    assert main(list(arguments)) == 0


def offline(bundle: Bundle, windows: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """What the bundle's graph answers to `[n, length, channels]`, an array `[n]` each output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # others would wait for work at the cost of other tests
    session = onnxruntime.InferenceSession(bundle.model, options)
    names = [output.name for output in bundle.manifest.outputs]
    found = session.run(names, {"window": np.ascontiguousarray(windows)})
    return {
        name: given.reshape(len(windows), -1)[:, 0]
        for name, given in zip(names, found, strict=True)
    }


def cut(rows: pd.DataFrame, length: int) -> NDArray[np.float32]:
    """Every window of so many rows, `[n, length, channels]`; none of fewer rows."""
    values = rows.to_numpy(dtype=np.float32)
    if len(values) < length:
        return np.empty((0, length, values.shape[1]), dtype=np.float32)
    return sliding_window_view(values, length, axis=0).transpose(0, 2, 1)


def assert_equal(bundle: Bundle, answers: Sequence[Answer], windows: NDArray[np.float32]) -> None:
    """Every answer is the offline one: a decision exactly, a number within the tolerance."""
    expected, spec = offline(bundle, windows), bundle.manifest.golden
    assert len(answers) == len(windows)
    assert {answer["quality"] for answer in answers} == {"GOOD"}
    for name in {"value", "score"} & set(expected):
        given = np.array([answer[name] for answer in answers])
        if np.issubdtype(expected[name].dtype, np.integer):
            np.testing.assert_array_equal(given, expected[name], err_msg=name)
        else:
            np.testing.assert_allclose(
                given, expected[name], rtol=spec.rtol, atol=spec.atol, err_msg=name
            )
