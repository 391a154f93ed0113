"""The bundle of a trained model: its manifest and its members.

Where SOURCE_DATE_EPOCH is set (https://reproducible-builds.org/specs/source-date-epoch/), nothing
in the bundle depends on when or how fast it was made: `created` is that time, and the report leaves
out measured times. For this reason the manifest states the time that the recipe allows, and its
memory only where the recipe limits that.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.bundle.golden import MIN_COUNT, Golden, write_golden
from models.bundle.manifest import GoldenSpec, Lineage, Manifest, Metrics
from models.bundle.package import Bundle, pack_bundle
from models.bundle.reference import read_document
from trainer.bundle.budget import promised
from trainer.bundle.eight_bits import EightBits
from trainer.bundle.reproducible import reproducible
from trainer.drift.limits import reference
from trainer.estimators.fitting import Model
from trainer.evaluation.intervals import intervals
from trainer.evaluation.life import life
from trainer.evaluation.metrics import (
    WeightedMetrics,
    Weights,
    losses,
    measured,
    trials,
    weighted_metrics,
)
from trainer.evaluation.resampling import units_of
from trainer.evaluation.trivial import figures, trivial
from trainer.report.reported import Reported
from trainer.report.trained import Trained

# Packages whose versions affect a bundle, without and with a search.
PACKAGES = ("numpy", "onnx", "onnxruntime", "pandas", "scikit-learn", "skl2onnx")
SEARCH_PACKAGES = (*PACKAGES, "optuna")


def tolerance_of(model: Model, y: NDArray[Any]) -> GoldenSpec:
    """How near the graph must come to the model: 1e-4 of an answer, and 1e-5 of the spread.

    Sums of a hundred float32 leaves are exact to a millionth of the target's spread. Scores and
    probabilities are taken to have a spread of 1. A model in eight bits has a tolerance of its own.

    Args:
        model: the fitted model.
        y: target values of the training windows, `[n]`.
    """
    if isinstance(model, EightBits) and model.tolerance is not None:
        return model.tolerance
    spread = float(np.std(y)) if model.task == "regression" else 1.0
    return GoldenSpec(count=MIN_COUNT, atol=float(f"{1e-5 * spread:.3g}"), rtol=1e-4)


def pack(trained: Trained, graph: bytes, golden: Golden) -> Bundle:
    """Make the bundle, in memory.

    Args:
        trained: the model and everything that manifest, reference and report need.
        graph: the exported graph, which has passed the parity check.
        golden: the golden vectors.
    """
    from trainer.report.training_report import render  # noqa: PLC0415  Matplotlib is loaded only for a report

    parts, model = trained.parts, trained.model
    manifest = _manifest(trained, _measured(trained), len(golden.windows))
    times_ns = trained.recording.times_ns if trained.recording.timed else None
    members = {
        "model.onnx": graph,
        "golden.npz": write_golden(golden),
        "reference.json": reference(model, parts.train, trained.truth, trained.recipe, times_ns),
    }
    sizes = {name: len(content) for name, content in members.items()}
    document = read_document(members["reference.json"], manifest.channels)
    correlation = None if document is None else document.correlation
    subject = Reported(manifest, trained, sizes, reproducible(), correlation)
    return pack_bundle(manifest, {**members, "report.html": render(subject)})


def _measured(trained: Trained) -> Metrics:
    """The metrics on the test part, with their intervals and beside those of trivial answers."""
    model, parts, labelled = trained.model, trained.parts, trained.truth.labelled
    answers, y = trained.answers, trained.truth.y[parts.test.rows]
    with threadpool_limits(limits=1):  # the order of a sum affects its last digit
        beside = trivial(trained, model, answers)
    of_lives = life(trained, answers)
    both = _joined(weighted_metrics(model, answers, y, labelled=labelled), beside.skill)
    values = measured(_joined(both, of_lives), len(y))
    drawn = units_of(trained, parts.test, losses(model, answers, y))
    # Blocks of a run tell nothing about the ends of other runs.
    bounded = _joined(both, of_lives) if drawn.kind == "groups" else both
    with threadpool_limits(limits=1):  # the order of a sum affects its last digit
        bounds = intervals(bounded, drawn, trials=trials(model, y), seed=trained.recipe.seed)
    others = figures(model, beside, y)
    return Metrics(
        split=parts.said,
        test_rows=len(parts.test),
        values=values,
        intervals={name: bounds[name] for name in values if name in bounds},
        baselines={
            name: {**own, **measured(life(trained, beside.answers[name]), len(y))}
            for name, own in others.items()
        },
        drawn=drawn.said,
    )


def _joined(first: WeightedMetrics, second: WeightedMetrics) -> WeightedMetrics:
    def of(weights: Weights) -> dict[str, NDArray[np.float64]]:
        return {**first(weights), **second(weights)}

    return of


def _manifest(trained: Trained, metrics: Metrics, golden_count: int) -> Manifest:
    recipe, parts, model = trained.recipe, trained.parts, trained.model
    tolerance = tolerance_of(model, trained.truth.y[parts.train.rows])
    return Manifest(
        schema_version=2,  # whose readers know the correlation times of reference.json
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
        budget=promised(recipe.budget, trained.memory_bytes),
        explain=trained.explain,
        optimised=trained.optimised,
    )


def _lineage(trained: Trained) -> Lineage:
    return Lineage(
        data=unnamed(trained.recording.digests),
        code_version=version("millhand"),
        packages={
            package: version(package)
            for package in (SEARCH_PACKAGES if trained.recipe.search else PACKAGES)
        },
        seed=trained.recipe.seed,
    )


def unnamed(digests: Mapping[str, str]) -> dict[str, str]:
    """Digests of recorded files without the names of the files, which are the publisher's own.

    The manifest goes to every gateway; the names are in the report, which can stay at home.

    Args:
        digests: SHA-256 of each file by its name.
    """
    return {
        f"recorded-{number}": sha256 for number, sha256 in enumerate(sorted(digests.values()), 1)
    }


def created() -> datetime:
    """The time of creation, in UTC: SOURCE_DATE_EPOCH if it is set, else now, to the second."""
    if not reproducible():
        return datetime.now(UTC).replace(microsecond=0)
    return datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
