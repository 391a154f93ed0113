"""The search on disk: every candidate that was tried, so that an interrupted search goes on.

A journal has a line for each event. What was under way when the process ended is tried again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from trainer.errors import DataError
from trainer.estimators.crossval import FoldLosses
from trainer.recipe.document import Recipe

FOLDER = ".search"
_SHAPES = {"seed", "data", "signals", "derived", "window", "features", "target", "split", "search"}
"""Sections that decide how a candidate does."""
_FREE: Any = {
    "search": {"trials", "seconds", "jobs", "prefer", "tolerance"},
    "data": {"files"},  # the digests are in the key, wherever the files lie
    "target": {"left"},
}
_RANDOM_FIRST = 10
_LEAST_TO_PRUNE = 4
_ENDED = {TrialState.COMPLETE, TrialState.PRUNED}


def path_of(folder: Path, recipe: Recipe, digests: Mapping[str, str]) -> Path:
    """Where the journal of a recipe on this very data is.

    More trials, more seconds, other jobs or another preference continue the same journal.
    """
    content = {
        "recipe": recipe.model_dump(mode="json", include=_SHAPES, exclude=_FREE),
        "data": sorted(digests.values()),
        "versions": [version(name) for name in ("millhand", "optuna", "scikit-learn")],
    }
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    return folder / FOLDER / f"{key}.journal"


class Journal:
    """What was tried before, and what is to be tried next.

    Args:
        path: of the file; it is made if it is not there.
        seed: of the search.
        first: parameters that are tried before any are drawn.

    Raises:
        DataError: the file is no journal of this search.
    """

    def __init__(self, path: Path, seed: int, first: Sequence[Mapping[str, Any]]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._seed = seed
        try:
            storage = JournalStorage(JournalFileBackend(str(path)))
            self._study = optuna.create_study(
                storage=storage, study_name="search", load_if_exists=True
            )
        except ValueError as exc:
            raise DataError(f"{path}: is damaged ({exc}); delete it to search anew") from exc
        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)
            self._study.enqueue_trial(trial.params)
        for parameters in first:
            self._study.enqueue_trial(dict(parameters), skip_if_exists=True)

    @property
    def finished(self) -> list[FrozenTrial]:
        """Trials that came to an end, in order; those that were interrupted did not."""
        return [
            one
            for one in self._study.get_trials(deepcopy=False)
            if one.state in _ENDED or (one.state == TrialState.FAIL and "reason" in one.user_attrs)
        ]

    @property
    def complete(self) -> list[FrozenTrial]:
        """Trials that were tried on every fold, the best first."""
        found = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return sorted(found, key=lambda one: (one.value or 0.0, one.number))

    @property
    def seconds(self) -> float:
        """That all runs together have taken."""
        return float(self._study.user_attrs.get("seconds", 0.0))

    def spent(self, seconds: float) -> None:
        """Note what all runs together have taken."""
        self._study.set_user_attr("seconds", seconds)

    def pruning_limits(self, folds: int) -> list[float]:
        """The median of the complete trials' mean loss after each fold; empty with few of them."""
        means = [[one.intermediate_values[k] for k in range(folds)] for one in self.complete]
        return np.median(means, axis=0).tolist() if len(means) >= _LEAST_TO_PRUNE else []

    def ask(self, position: int) -> Trial:
        """The next trial.

        Args:
            position: how many come before it. The draw depends on the seed, on this and on the
                trials told so far, not on when the search was interrupted.
        """
        drawn = np.random.SeedSequence((self._seed, position)).generate_state(1)
        self._study.sampler = TPESampler(
            n_startup_trials=_RANDOM_FIRST,
            multivariate=False,
            constant_liar=True,
            seed=int(drawn[0]),
        )
        return self._study.ask()

    def tell(self, trial: Trial, tried: FoldLosses) -> None:
        """Note what came of a trial; the state last, so that a trial is whole or under way."""
        for fold in range(len(tried.losses)):
            trial.report(float(np.mean(tried.losses[: fold + 1])), fold)
        trial.set_user_attr("losses", list(tried.losses))
        trial.set_user_attr("seconds", tried.seconds)
        trial.set_user_attr("bytes", tried.size_bytes)
        if tried.reason:
            trial.set_user_attr("reason", tried.reason[:300])
            self._study.tell(trial, state=TrialState.FAIL)
        elif tried.pruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, float(np.mean(tried.losses)))
