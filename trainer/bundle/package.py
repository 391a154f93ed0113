"""What was trained, as a bundle: manifest and members.

Where SOURCE_DATE_EPOCH is set (https://reproducible-builds.org/specs/source-date-epoch/), nothing
in it depends on when or how fast it was made: `created` follows it, and the report leaves out what
a clock has measured. The manifest's budget is the recipe's, which the measured figures have kept.
"""

import os
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.bundle.golden import MIN_COUNT, Golden, write_golden
from models.bundle.manifest import Budget, GoldenSpec, Lineage, Manifest, Metrics
from models.bundle.package import Bundle, pack_bundle
from trainer.drift.limits import reference
from trainer.estimators.fitting import Answers, Model
from trainer.evaluation.intervals import intervals
from trainer.evaluation.metrics import losses, measure, trials, weighted_metrics
from trainer.evaluation.resampling import units_of
from trainer.report.reported import Reported
from trainer.report.trained import Trained

PACKAGES = ("numpy", "onnx", "onnxruntime", "pandas", "scikit-learn", "skl2onnx")
SEARCHED = (*PACKAGES, "optuna")
"""Whose versions shape a bundle, without and with a search."""


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
    from trainer.report.training_report import render  # noqa: PLC0415  what draws is loaded when it is needed

    parts, model = trained.parts, trained.model
    answers = model.answer(parts.test.values)
    y = trained.truth.y[parts.test.rows]
    metrics, drawn = _measured(trained, answers, y)
    manifest = _manifest(trained, metrics, len(golden.windows))
    members = {
        "model.onnx": graph,
        "golden.npz": write_golden(golden),
        "reference.json": reference(model, parts.train, trained.truth, trained.recipe),
    }
    sizes = {name: len(content) for name, content in members.items()}
    subject = Reported(manifest, trained, answers, drawn, sizes, reproducible())
    return pack_bundle(manifest, {**members, "report.html": render(subject)})


def _measured(trained: Trained, answers: Answers, y: NDArray[Any]) -> tuple[Metrics, str]:
    """The figures on the test part with their intervals, and how those were drawn."""
    model, parts, labelled = trained.model, trained.parts, trained.truth.labelled
    values = measure(model, answers, y, labelled=labelled)
    drawn = units_of(trained.subject, parts.test, losses(model, answers, y))
    with threadpool_limits(limits=1):  # the order of a sum shows in its last digit
        bounds = intervals(
            weighted_metrics(model, answers, y, labelled=labelled),
            drawn,
            trials=trials(model, y),
            seed=trained.recipe.seed,
        )
    known = {name: bounds[name] for name in values if name in bounds}
    metrics = Metrics(split=parts.said, test_rows=len(parts.test), values=values, intervals=known)
    return metrics, drawn.said


def _manifest(trained: Trained, metrics: Metrics, golden_count: int) -> Manifest:
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
        metrics=metrics,
        lineage=_lineage(trained),
        budget=Budget(
            latency_ms_p99=recipe.budget.latency_ms, model_bytes=round(recipe.budget.model_mb * 1e6)
        ),
    )


def _lineage(trained: Trained) -> Lineage:
    return Lineage(
        data=dict(trained.recording.digests),
        code_version=version("millhand"),
        packages={
            package: version(package) for package in (SEARCHED if trained.board else PACKAGES)
        },
        seed=trained.recipe.seed,
    )


def created() -> datetime:
    """Now, to the second, or what SOURCE_DATE_EPOCH says."""
    if not reproducible():
        return datetime.now(UTC).replace(microsecond=0)
    return datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)


def reproducible() -> bool:
    """Whether the same recipe and data are to give the same bytes."""
    return "SOURCE_DATE_EPOCH" in os.environ
