"""Valid manifests and bundles, as small as possible and the same every time."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from models.bundle.budget import Budget
from models.bundle.golden import Golden, write_golden
from models.bundle.manifest import (
    Channel,
    GoldenSpec,
    Lineage,
    Manifest,
    Metrics,
    Output,
    WindowSpec,
    schema_version,
)
from models.bundle.package import Bundle, pack_bundle

CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REFERENCE = b"{}\n"
REPORT = b"<!doctype html><title>report</title>\n"


def make_channels(count: int, **fields: object) -> tuple[Channel, ...]:
    """`count` signals c0, c1, ... with the range -100 to 100; `fields` are set for all of them."""
    parts: dict[str, Any] = {"unit": "bar", "valid_range": (-100.0, 100.0)} | fields
    return tuple(Channel(name=f"c{index}", **parts) for index in range(count))


def make_manifest(width: int = 2, length: int = 1, **fields: object) -> Manifest:
    """A valid manifest of a regression with `width` signals; `fields` replace parts of it."""
    parts: dict[str, Any] = {
        "stream": "pump-health",
        "name": "Pump health",
        "version": "1.0.0",
        "seq": 1,
        "created": CREATED,
        "task": "regression",
        "channels": make_channels(width),
        "window": WindowSpec(length=length),
        "outputs": (Output(name="value", dtype="float32", meaning="hours left", unit="h"),),
        "golden": GoldenSpec(count=4),
        "metrics": Metrics(split="by asset", test_rows=100, values={"mae": 1.5}),
        "lineage": Lineage(data={"history.csv": "0" * 64}, code_version="0.1.0", seed=1),
        "budget": Budget(latency_ms_p99=1.0, model_bytes=1),
    }
    made = parts | fields
    schema = schema_version(made["channels"], made["metrics"], made.get("explain"))
    return Manifest(**({"schema_version": schema} | made))


def make_golden(manifest: Manifest) -> Golden:
    """Golden vectors of the shapes in the manifest, whose outputs are all zero."""
    count = manifest.golden.count
    shape = (count, manifest.window.length, len(manifest.channels))
    outputs = {
        str(output.name): np.zeros(
            (count, 2) if output.name == "probabilities" else count, output.dtype
        )
        for output in manifest.outputs
    }
    return Golden(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), outputs)


def make_members(manifest: Manifest, model: bytes = b"no graph") -> dict[str, bytes]:
    """Every member of a bundle but its manifest; `model` is the content of model.onnx."""
    return {
        "model.onnx": model,
        "golden.npz": write_golden(make_golden(manifest)),
        "reference.json": REFERENCE,
        "report.html": REPORT,
    }


def make_bundle(manifest: Manifest | None = None) -> Bundle:
    """A bundle of about three kilobytes that can be read; its model is no graph."""
    manifest = make_manifest() if manifest is None else manifest
    return pack_bundle(manifest, make_members(manifest))
