"""Writes a model of the benchmark as a bundle."""

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.load.workload import Shape
from models.bundle.budget import Budget
from models.bundle.golden import Golden, write_golden
from models.bundle.manifest import (
    Channel,
    GoldenSpec,
    Lineage,
    Manifest,
    Metrics,
    Output,
    Task,
    WindowSpec,
)
from models.bundle.package import write_bundle

SEED = 1
"""Seed of every random choice."""


@dataclass(frozen=True, slots=True)
class Model:
    """The parts of a bundle.

    Attributes:
        name: name for people.
        task: task in the manifest.
        outputs: outputs in the manifest.
        graph: ONNX graph with stream and seq in its metadata.
        golden: golden windows and their outputs.
    """

    name: str
    task: Task
    outputs: tuple[Output, ...]
    graph: bytes
    golden: Golden


def write(folder: Path, model: Model, shape: Shape, seq: int) -> Path:
    """Write the bundle for readings of a shape, and return its path in `folder`."""
    members = {
        "model.onnx": model.graph,
        "golden.npz": write_golden(model.golden),
        "reference.json": b"{}\n",
        "report.html": b"<!doctype html><title>model</title><p>Made by the benchmark.\n",
    }
    path = folder / f"{shape.stream}-{seq}.zip"
    write_bundle(path, _manifest(model, shape, seq), members)
    return path


def _manifest(model: Model, shape: Shape, seq: int) -> Manifest:
    return Manifest(
        stream=shape.stream,
        name=model.name,
        version=f"{seq}.0.0",
        seq=seq,
        created=datetime.now(UTC),
        task=model.task,
        channels=tuple(Channel(name=signal) for signal in shape.signals),
        window=WindowSpec(
            length=shape.window, hop=shape.samples, sample_period_ms=shape.sample_period_ms
        ),
        outputs=model.outputs,
        golden=GoldenSpec(count=len(model.golden.windows)),
        metrics=Metrics(split="none", test_rows=0, values={}),
        lineage=Lineage(data={}, code_version=version("millhand"), seed=SEED),
        budget=Budget(latency_ms_p99=1.0, model_bytes=len(model.graph)),
    )
