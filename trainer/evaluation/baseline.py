"""Whether the metrics of a bundle say that its model is no better than a trivial answer."""

from collections.abc import Iterator

from models.bundle.manifest import Manifest

SKILL, OVER_LAST, OVER_LINE = "skill", "skill_over_last_value", "skill_over_line"
"""Metrics that compare the model with answers that need none, see `trainer.evaluation.trivial`."""
_TRIVIAL = {
    "regression": "the mean of the training part, always",
    "classification": "the same class, always",
    "anomaly": "never or always an alarm",
}


def not_beaten(manifest: Manifest) -> tuple[str, ...]:
    """Sentences on trivial answers that the model is not shown to beat; often empty.

    Args:
        manifest: the manifest of a model that millhand has trained.
    """
    return (*_no_skill(manifest), *_worse_than_line(manifest), *_worse_than_last(manifest))


def blind(manifest: Manifest) -> tuple[str, ...]:
    """A sentence on a model that finds nothing of what it is for; empty where it finds something.

    Args:
        manifest: the manifest, with metrics that millhand has measured or that are claimed.
    """
    if manifest.metrics.values.get("recall", 1.0) > 0:
        return ()
    what = "marked faults" if manifest.task == "anomaly" else "windows of the class it is about"
    return (f"blind: of the {what} in the test part it found none (recall is 0)",)


def to_confirm(manifest: Manifest) -> tuple[str, ...]:
    """Sentences that a person has to agree with before the model is published; often empty.

    The last value of the target is left out: it can be had only where the target is measured.
    """
    own = (*blind(manifest), *_no_skill(manifest), *_worse_than_line(manifest))
    return (*own, *worse_than_constant(manifest))


def _no_skill(manifest: Manifest) -> Iterator[str]:
    metrics = manifest.metrics
    skill, interval = metrics.values.get(SKILL), metrics.intervals.get(SKILL)
    if skill is not None and (skill if interval is None else interval[0]) <= 0:
        yield (
            f"not shown to beat a trivial answer: its skill is {metrics.formatted(SKILL)}, where "
            f"{_TRIVIAL[manifest.task]}, has 0"
        )


def _worse_than_line(manifest: Manifest) -> Iterator[str]:
    if _is_worse(manifest, OVER_LINE):
        yield (
            "worse than a plain line through the signals: its skill over that is "
            f"{manifest.metrics.formatted(OVER_LINE)}; try linear models by [search]"
        )


def _worse_than_last(manifest: Manifest) -> Iterator[str]:
    if manifest.metrics.values.get(OVER_LAST, 0.0) < 0:
        how = "worse than" if _is_worse(manifest, OVER_LAST) else "not shown to beat"
        yield (
            f"{how} the last value of the target before the window, where that is measured on the "
            f"line: its skill over that is {manifest.metrics.formatted(OVER_LAST)}; if signals act "
            "late, try longer windows by window.lengths"
        )


def _is_worse(manifest: Manifest, name: str) -> bool:
    """Whether the skill is below 0 as a whole, or by its value where it has no interval."""
    skill, interval = manifest.metrics.values.get(name), manifest.metrics.intervals.get(name)
    return skill is not None and (skill if interval is None else interval[1]) < 0


def worse_than_constant(manifest: Manifest) -> tuple[str, ...]:
    """Sentences on metrics that some constant answer would beat on the same rows; often empty.

    Only what follows from the metrics alone is said, so a model may be worse than the best constant
    without a sentence here.

    Args:
        manifest: the manifest, with metrics that millhand has measured or that are claimed.
    """
    return tuple(_found(manifest))


def _found(manifest: Manifest) -> Iterator[str]:
    values, classes = manifest.metrics.values, len(manifest.outputs[0].classes)
    if values.get("r2", 1.0) < 0:
        yield f"r2 is {values['r2']:g}: the mean of the test part, always, would have 0"
    if classes and values.get("accuracy", 1.0) < 1 / classes:
        # One of n classes has at least an n-th of the rows, so answering it always is right there.
        yield (
            f"accuracy is {values['accuracy']:g}: always the most frequent of the {classes} classes"
            f" would be right in a share of at least {1 / classes:.2g}"
        )
    if values.get("f1", 1.0) == 0:
        yield "f1 is 0: an alarm in every window would find more"
    if values.get("roc_auc", 1.0) < 0.5:  # noqa: PLR2004  the area under the diagonal
        yield f"roc_auc is {values['roc_auc']:g}: a score that never changes would have 0.5"
    if values.get("recall", 1.0) < values.get("false_alarm_rate", 0.0):
        yield (
            f"recall is {values['recall']:g} and false_alarm_rate {values['false_alarm_rate']:g}:"
            " alarms are less frequent where there is an event"
        )
