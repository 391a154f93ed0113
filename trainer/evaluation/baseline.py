"""Whether the metrics of a bundle say that its model is worse than a constant answer."""

from collections.abc import Iterator

from models.bundle.manifest import Manifest


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
