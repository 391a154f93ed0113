"""What the checks of the trainer find in a made-up recording of two signals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.kit.recordings import recipe
from trainer.checks.finding import Finding
from trainer.checks.suite import CHECKS
from trainer.dataset.splits import split
from trainer.dataset.subject import Subject
from trainer.dataset.targets import truth
from trainer.ingest.recording import Recording

ALONE: dict[str, Any] = {"data": {"time": None}, "window": {"length": 1}}
RANDOM = {**ALONE, "split": {"method": "random", "test": 0.3}}
NUMBER = {"task": "regression", "column": "label"}
DETECTOR = {"task": "anomaly", "column": "label", "normal": 0}
BY_ASSET = {"asset_column": "pump"}


def subject(folder: Path, recording: Recording, **sections: object) -> Subject:
    """The recording, split and windowed as the base recipe with `sections` says."""
    made = recipe(folder, **sections)
    recording = replace(recording, timed=made.data.time is not None)
    known = truth(recording, made)
    parts = split(recording, known, made, made.window.spec(1000))
    return Subject(recording, known, made, parts)


def found(name: str, folder: Path, recording: Recording, **sections: object) -> list[Finding]:
    """All that the check `name` finds."""
    return list(CHECKS[name](subject(folder, recording, **sections)))


def one(name: str, folder: Path, recording: Recording, **sections: object) -> Finding:
    """The only finding of the check `name`."""
    (finding,) = found(name, folder, recording, **sections)
    assert finding.name == name
    assert finding.remedy
    return finding


def noise(rows: int, seed: int = 0) -> NDArray[np.float64]:
    """Two signals without any meaning."""
    return np.random.default_rng(seed).normal(size=(rows, 2))


def texts(labels: NDArray[Any]) -> NDArray[np.object_]:
    """Labels as the text of their whole numbers."""
    return labels.astype(int).astype(str).astype(object)


def rare(rows: int) -> NDArray[np.int64]:
    """The class 1 in every twentieth row."""
    return np.where(np.arange(rows) % 20 == 0, 1, 0)
