"""Whether every class was recorded on one unit only: then classes cannot be told from units."""

from collections.abc import Iterator, Mapping

import numpy as np

from trainer.checks.finding import Finding
from trainer.dataset.subject import Subject
from trainer.errors import first_few

NAME = "one-unit-per-class"
# With one unit in all there is nothing that a model could confuse with a class.
_FEWEST = 2


def one_unit_per_class(subject: Subject) -> Iterator[Finding]:
    """Report classes that come from one asset each, or from one file each."""
    found = units_of_classes(subject)
    if found is None:
        return
    what, units = found
    pairs = first_few([f"'{name}' from {unit}" for name, unit in units.items()])
    evidence = (
        f"each class comes from one {what} only: {pairs}; the model may learn the {what}, not the "
        "class, and metrics near 1 on held-out rows do not show which"
    )
    remedy = (
        f"record each class on several {what}s, and hold whole {what}s out; until then expect "
        f"nothing on another {what}"
    )
    yield Finding(NAME, "warning", evidence, remedy)


def units_of_classes(subject: Subject) -> tuple[str, Mapping[str, str]] | None:
    """What the units are (`asset` or `file`), and the unit of each class by the class's name.

    Units are assets where the data names them, otherwise files. None if a class is of several
    units, if there is one unit in all, or if the task is no classification.
    """
    recording, truth = subject.recording, subject.truth
    if subject.recipe.target.task != "classification":
        return None
    named = subject.recipe.data.names_assets
    unit, names = (
        (recording.asset, recording.assets) if named else (recording.file, recording.files)
    )
    pairs = np.unique(np.column_stack([truth.y, unit])[truth.known], axis=0)
    classes, units = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
    if len(np.unique(units)) < _FEWEST or len(np.unique(classes)) != len(classes):
        return None
    by_class = zip(classes, units, strict=True)
    return (
        "asset" if named else "file",
        {truth.classes[klass]: f"'{names[of]}'" for klass, of in by_class},
    )
