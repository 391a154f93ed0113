"""A process that tries candidates of a search, one after the other, until its parent hangs up.

It is started by `trainer.search.worker_pool` with the number of a connection, on which it receives
a job at a time, and the path of what all candidates are measured on. It runs in a session of its
own, so Ctrl-C at a terminal does not reach it: whoever started it ends it.
"""

import pickle
import sys
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from trainer.estimators.crossval import CrossValidation, cross_validate

READY = "ready"
"""What a worker sends when it waits for its first job."""


@dataclass(frozen=True, slots=True)
class Job:
    """A candidate to try.

    Attributes:
        steps: the unfitted pipeline from features to predictions.
        features: path of the features of all training windows, an `.npy` file.
        pruning_limits: see `trainer.estimators.crossval.cross_validate`.
    """

    steps: Pipeline
    features: str
    pruning_limits: tuple[float, ...] = ()


def main() -> None:
    """Try candidates until the connection ends; see the module's description.

    `sys.argv[3]` is the file descriptor of the connection, `sys.argv[4]` the path.
    """
    # Warnings of libraries name files of the installation and lines of their code, which tell
    # nobody at a terminal what to do; whatever they are about shows in the candidate's figure.
    warnings.simplefilter("ignore")
    connection: Connection[Any, Any] = Connection(int(sys.argv[3]))
    validation: CrossValidation = pickle.loads(Path(sys.argv[4]).read_bytes())  # noqa: S301  our parent's own file
    connection.send(READY)
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return
        connection.send(_tried(job, validation))


def _tried(job: Job, validation: CrossValidation) -> object:
    """The result of a candidate; or the error of a bug, which the parent raises."""
    X = np.load(job.features, mmap_mode="r")
    try:
        return cross_validate(job.steps, X, validation, job.pruning_limits)
    except Exception as exc:  # noqa: BLE001  the top of a process: the parent raises it
        return exc
