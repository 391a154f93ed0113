"""What the contenders are asked: windows of the benchmark's signals, in each one's own format."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from benchmarks.load.workload import LARGEST_VALUE, ROWS, SCALARS, SIGNALS, Shape

JSON, BINARY = "JSON 1x8", "binary 60x8"
"""Names of the cases: format, and samples times signals of the window."""


@dataclass(frozen=True, slots=True)
class Post:
    """A request that is sent again and again.

    Attributes:
        path: path and query.
        body: body.
        headers: headers beside the length.
    """

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def open_inference(case: str) -> Post:
    """A case as a request of the Open Inference Protocol."""
    shape = shape_of(case)
    path = f"/v2/models/{shape.stream}/infer"
    tensor = {"name": "window", "datatype": "FP32", "shape": [1, shape.window, len(SIGNALS)]}
    values = _window(shape)
    if case == JSON:
        document = {"inputs": [{**tensor, "data": values.ravel().tolist()}]}
        return Post(path, json.dumps(document).encode(), {"Content-Type": "application/json"})
    raw = values.tobytes()
    sized = {**tensor, "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [sized], "parameters": {"binary_data_output": True}}).encode()
    return Post(path, head + raw, {"Inference-Header-Content-Length": str(len(head))})


def mlflow(case: str) -> Post:
    """A case as a request of MLflow's scoring protocol, which has JSON only."""
    document = {"inputs": _window(shape_of(case)).tolist()}
    return Post("/invocations", json.dumps(document).encode(), {"Content-Type": "application/json"})


def shape_of(case: str) -> Shape:
    """The shape of the readings that the model of a case is made for."""
    return ROWS if case == JSON else SCALARS


def _window(shape: Shape) -> np.ndarray:
    drawn = np.random.default_rng(1).uniform(0.0, LARGEST_VALUE, (1, shape.window, len(SIGNALS)))
    return drawn.astype(np.float32).round(2)
