"""Compares the new model with the champion, an earlier bundle of the stream, on the test windows.

Both answer at the same rows, each through its own graph, with its own windows and its own
threshold. The rows were held out from the new model, but perhaps not from the champion: the caveats
say what its manifest tells about that.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.bundle.manifest import Manifest, WindowSpec
from models.bundle.package import StoredBundle
from trainer.dataset.subject import Subject
from trainer.errors import ComparisonError, first_few
from trainer.estimators.fitting import Answers, Model
from trainer.evaluation.difference import Difference, paired_difference
from trainer.evaluation.metrics import WeightedMetrics, log_loss, losses, weighted_metrics
from trainer.evaluation.moved_signals import moved_signals
from trainer.evaluation.resampling import units_of
from trainer.evaluation.served import Asked, answered, last_of_rows, served, translated
from trainer.graph.export import Graph
from trainer.recipe.search_section import DEFAULT_METRIC
from trainer.recipe.split_section import ShuffledSplit

_OF_PROBABILITIES = {"average_precision", "log_loss"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A new model and its champion on the same rows of the test part.

    Attributes:
        label: stream and seq of the champion.
        name: display name of the champion.
        version: semantic version of the champion.
        seq: sequence number of the champion in its stream.
        champion: the metric of the champion.
        challenger: the metric of the new model on the same windows.
        difference: challenger minus champion, with its interval and the verdict.
        windows: number of windows that were compared.
        drawn: how the resamples of the interval were drawn, for the report.
        caveats: what limits the comparison, one sentence each.
        moved: signals that are not what they were where the champion learned, one sentence each.
    """

    label: str
    name: str
    version: str
    seq: int
    champion: float
    challenger: float
    difference: Difference
    windows: int
    drawn: str
    caveats: tuple[str, ...]
    moved: tuple[str, ...] = ()

    @property
    def metric(self) -> str:
        """Name of the metric that is compared: the one that a search ranks candidates by."""
        return self.difference.metric

    @property
    def verdict(self) -> str:
        """Whether the new model is better, worse, or not shown to be better."""
        return self.difference.verdict

    @property
    def doubt(self) -> str:
        """What stands before the verdict where signals have moved; empty otherwise."""
        if not self.moved:
            return ""
        return (
            f"{'; '.join(self.moved)}: a sensor or its unit may have been exchanged, and then this "
            "says nothing of the models. "
        )

    def __str__(self) -> str:
        """The comparison in one sentence, after signals that have moved."""
        return self.doubt + (
            f"{self.verdict}: {self.metric} {self.challenger:.4g} against {self.champion:.4g} of "
            f"{self.label}, difference {self.difference.amount} on {self.windows} windows"
        )


def compare(
    champion: StoredBundle, subject: Subject, spec: WindowSpec, model: Model, graph: Graph
) -> Comparison:
    """Compare a new model with an earlier bundle, on the rows of the test part.

    The same bundles and data give the same comparison.

    Args:
        champion: the earlier bundle, whose members were verified.
        subject: the recording, its truth, the recipe and both parts of the split.
        spec: the recipe's window, with the sample period that was measured.
        model: the new model.
        graph: the new model's graph, whose parity was checked.

    Raises:
        ComparisonError: the two cannot be compared; the message names the difference.
        BundleError: onnxruntime refuses the champion's graph or its input.
    """
    manifest, recipe, test = champion.manifest, subject.recipe, subject.parts.test
    metric = _metric(manifest, subject, model)
    asked = Asked(subject.recording, recipe.channels, spec, test.rows)
    rows, answers = served(champion, asked)
    own_rows, last = last_of_rows(test)
    tested = test.take(last[np.isin(own_rows, rows)])
    y = subject.truth.y[rows]
    theirs, ours = translated(answers, manifest, model), answered(graph, tested)
    longest = max(manifest.window.length, spec.length)
    drawn = units_of(
        subject, tested, _series(model, (theirs, ours), y), least=-(-longest // recipe.window.hop)
    )
    both = (_measured(metric, model, theirs, y), _measured(metric, model, ours, y))
    with threadpool_limits(limits=1):  # the order of a sum shows in its last digit
        difference = paired_difference(metric, *both, drawn, seed=recipe.seed)
        found = [float(f"{of(np.ones((1, len(y))))[metric][0]:.6g}") for of in both]
    if difference is None:
        raise ComparisonError(f"{metric} is not defined on the {len(y)} windows that both answer")
    return Comparison(
        label=str(champion.ref),
        name=manifest.name,
        version=manifest.version,
        seq=manifest.seq,
        champion=found[0],
        challenger=found[1],
        difference=difference,
        windows=len(y),
        drawn=drawn.said,
        caveats=tuple(_caveats(manifest, subject, rows)),
        moved=tuple(moved_signals(manifest, champion.reference, subject.recording, rows)),
    )


def _metric(manifest: Manifest, subject: Subject, model: Model) -> str:
    """The metric that a search ranks candidates by, or the F1 of alarms."""
    if manifest.task != model.task:
        raise ComparisonError(f"it is for {manifest.task}, the recipe for {model.task}")
    recipe, truth = subject.recipe, subject.truth
    if model.task == "anomaly":
        if not truth.labelled or not (truth.y[subject.parts.test.rows] == 1).any():
            raise ComparisonError("no row of the test part is known to be abnormal")
        return "f1"
    search = recipe.search
    metric = DEFAULT_METRIC[model.task] if search is None else search.metric_for(model.task)
    if metric in _OF_PROBABILITIES and manifest.output("probabilities") is None:
        raise ComparisonError(f"it gives no probabilities, which {metric} is about")
    return metric


def _measured(metric: str, model: Model, answers: Answers, y: NDArray[Any]) -> WeightedMetrics:
    """The weighted metrics of a model, with the one that is compared."""
    if metric == "log_loss":
        return log_loss(answers["probabilities"], y)
    return weighted_metrics(model, answers, y)


def _series(
    model: Model, both: tuple[Answers, Answers], y: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """The losses of both models: blocks must be as long as any of them is correlated."""
    return {
        f"{name} {number}": series
        for number, answers in enumerate(both)
        for name, series in losses(model, answers, y).items()
    }


def _caveats(manifest: Manifest, subject: Subject, rows: NDArray[np.int64]) -> list[str]:
    """Sentences on whether either model has seen these rows before, and on rows left out."""
    said, tested = [_seen(manifest, subject, rows)], len(subject.parts.test)
    if "OPTIMISTIC" in subject.parts.said:
        said.append("the split flatters the new model: it was trained on neighbours of these rows")
    if len(rows) < tested:
        said.append(
            f"{tested - len(rows)} of {tested} test windows are not compared: the champion has no "
            "window of its own that ends there, or lacks a signal that it requires"
        )
    return said


def _seen(manifest: Manifest, subject: Subject, rows: NDArray[np.int64]) -> str:
    recording, learned = subject.recording, manifest.lineage.data
    if manifest.lineage.origin:
        return "the champion was made elsewhere: nothing is known of what it learned from"
    files = [recording.files[index] for index in np.unique(recording.file[rows])]
    same = [name for name in files if recording.digests[name] in learned.values()]
    if same and _parted_alike(manifest, subject):
        return "the champion is of the same files and the same split: it has not seen these rows"
    if same:
        count = int(np.isin(recording.file[rows], [recording.files.index(n) for n in same]).sum())
        return (
            f"the champion may have learned from these rows, which flatters it: {count} of "
            f"{len(rows)} windows are of files that it was made from ({first_few(same)})"
        )
    return (
        "none of the files that these rows are in is among those the champion was made from; but a "
        "file that has grown since then is another one, and the champion may have learned from its "
        "rows, which would flatter it"
    )


def _parted_alike(manifest: Manifest, subject: Subject) -> bool:
    """Whether all files, the sentence on the split and the seed are those of the champion."""
    recipe, lineage = subject.recipe, manifest.lineage
    return (
        not isinstance(recipe.split, ShuffledSplit)  # depends on the number of windows too
        and sorted(lineage.data.values()) == sorted(subject.recording.digests.values())
        and manifest.metrics.split == subject.parts.said
        and lineage.seed == recipe.seed
    )
