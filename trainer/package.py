"""What was trained, as a bundle: manifest and members.

Nothing in it depends on when or how fast it was made: `created` follows SOURCE_DATE_EPOCH where it
is set (https://reproducible-builds.org/specs/source-date-epoch/), and the budget is the recipe's,
which the measured figures have kept.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle, pack_bundle
from models.golden import MIN_COUNT, Golden, write_golden
from models.manifest import Budget, GoldenSpec, Lineage, Manifest, Metrics, WindowSpec
from trainer.estimators import Model
from trainer.export import Parity
from trainer.metrics import measure
from trainer.recipe import Recipe
from trainer.recording import Recording
from trainer.reference import describe
from trainer.report import Findings, render
from trainer.split import Parts
from trainer.targets import Truth

PACKAGES = ("numpy", "onnx", "onnxruntime", "pandas", "scikit-learn", "skl2onnx")
"""Whose versions shape a bundle."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Everything that a bundle is made from, once the model has proved itself."""

    recipe: Recipe
    seq: int
    recording: Recording
    truth: Truth
    spec: WindowSpec
    parts: Parts
    model: Model
    remarks: tuple[str, ...]
    parity: Parity


def tolerance_of(model: Model, y: NDArray[Any]) -> GoldenSpec:
    """How near the graph must come: 1e-4 of each answer, and 1e-5 of the target's spread.

    Scores and probabilities have a spread of about 1; sums of a hundred float32 leaves are good to
    a part in a million of theirs.
    """
    spread = float(np.std(y)) if model.task == "regression" else 1.0
    return GoldenSpec(count=MIN_COUNT, atol=float(f"{1e-5 * spread:.3g}"), rtol=1e-4)


def pack(trained: Trained, graph: bytes, golden: Golden) -> Bundle:
    """The bundle, in memory.

    Args:
        trained: what the manifest, the reference and the report are about.
        graph: the model, proved.
        golden: vectors it answers rightly.
    """
    parts, model = trained.parts, trained.model
    answers = model.answer(parts.test.values)
    y = trained.truth.y[parts.test.rows]
    figures = measure(model, answers, y, labelled=trained.truth.labelled)
    manifest = _manifest(trained, figures, len(golden.windows))
    findings = Findings(
        rows=len(trained.recording),
        assets=len(trained.recording.assets),
        train_windows=len(parts.train),
        remarks=trained.remarks,
        parity=trained.parity,
    )
    score = answers.get("score", answers["value"])
    members = {
        "model.onnx": graph,
        "golden.npz": write_golden(golden),
        "reference.json": describe(parts.train.values[:, -1], manifest.channels, score),
        "report.html": render(manifest, findings),
    }
    return pack_bundle(manifest, members)


def _manifest(trained: Trained, figures: dict[str, float], golden_count: int) -> Manifest:
    recipe, parts, model = trained.recipe, trained.parts, trained.model
    tolerance = tolerance_of(model, trained.truth.y[parts.train.rows])
    return Manifest(
        stream=recipe.bundle.stream,
        name=recipe.bundle.name or recipe.bundle.stream,
        version=recipe.bundle.version,
        seq=trained.seq,
        created=created(),
        task=model.task,
        channels=recipe.channels,
        window=trained.spec,
        outputs=model.outputs,
        golden=tolerance.model_copy(update={"count": golden_count}),
        metrics=Metrics(split=parts.said, test_rows=len(parts.test), values=figures),
        lineage=_lineage(trained),
        budget=Budget(
            latency_ms_p99=recipe.budget.latency_ms, model_bytes=round(recipe.budget.model_mb * 1e6)
        ),
    )


def _lineage(trained: Trained) -> Lineage:
    return Lineage(
        data=dict(trained.recording.digests),
        code_version=version("millhand"),
        packages={package: version(package) for package in PACKAGES},
        seed=trained.recipe.seed,
    )


def created() -> datetime:
    """Now, to the second, or what SOURCE_DATE_EPOCH says."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return datetime.now(UTC).replace(microsecond=0)
    return datetime.fromtimestamp(int(epoch), UTC)
