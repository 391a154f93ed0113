"""The journal of a search: every candidate that was tried, so that a search can be continued.

It is an Optuna journal storage: a file with one line for each event. A candidate that was in
progress when the process ended is tried again.
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
# Sections of the recipe that affect how good a candidate is; they are part of the journal's name.
_SHAPES = {
    "seed",
    "data",
    "signals",
    "derived",
    "conditions",
    "window",
    "features",
    "target",
    "split",
    "search",
}
# Keys of these sections that do not affect it, so that changing them continues the same journal.
_FREE: Any = {
    "search": {"trials", "seconds", "jobs", "prefer", "tolerance"},
    "data": {"files"},  # the digests are in the name, wherever the files lie
    "target": {"left"},
}
# Raised whenever candidates are drawn from other spaces, because a journal keeps to its own.
_SPACES = 3
# TPE needs some random trials to model; ten is Optuna's own default.
_RANDOM_FIRST = 10
# A median of fewer complete trials would prune by chance.
_LEAST_TO_PRUNE = 4
_ENDED = {TrialState.COMPLETE, TrialState.PRUNED}


def path_of(folder: Path, recipe: Recipe, digests: Mapping[str, str]) -> Path:
    """The journal's path for a recipe and the content of its data.

    A search with more trials, more seconds, other jobs or another preference continues the same
    journal. Other data, or another version of millhand, Optuna or scikit-learn, begins a new one.
    """
    content = {
        "recipe": recipe.model_dump(mode="json", include=_SHAPES, exclude=_FREE),
        "data": sorted(digests.values()),
        "spaces": _SPACES,
        "versions": [version(name) for name in ("millhand", "optuna", "scikit-learn")],
    }
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    return folder / FOLDER / f"{key}.journal"


class Journal:
    """The trials of a search, in a file.

    Args:
        path: path of the file; it is created if it does not exist.
        seed: the recipe's seed, for the sampler.
        first: parameters of candidates that are tried before any are drawn.

    Raises:
        DataError: the file is not a journal of Optuna.
    """

    def __init__(self, path: Path, seed: int, first: Sequence[Mapping[str, Any]]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():  # Optuna would append to whatever it points to
            raise DataError(f"{path}: is a symbolic link, which is not followed; remove it")
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
        """Trials that ended, complete, pruned or failed, in order; not those interrupted."""
        return [
            one
            for one in self._study.get_trials(deepcopy=False)
            if one.state in _ENDED or (one.state == TrialState.FAIL and "reason" in one.user_attrs)
        ]

    @property
    def complete(self) -> list[FrozenTrial]:
        """Trials with a result on every fold, the best first."""
        found = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return sorted(found, key=lambda one: (one.value or 0.0, one.number))

    @property
    def seconds(self) -> float:
        """Seconds that all runs of this search have taken together."""
        return float(self._study.user_attrs.get("seconds", 0.0))

    def record_seconds(self, seconds: float) -> None:
        """Record how many seconds all runs have taken together."""
        self._study.set_user_attr("seconds", seconds)

    def pruning_limits(self, folds: int) -> list[float]:
        """The median over complete trials of the mean loss after each fold, `[folds]`.

        A candidate with a higher mean loss is pruned: the median stopping rule of Golovin et al.
        (2017). Empty with fewer than four complete trials.
        """
        means = [[one.intermediate_values[k] for k in range(folds)] for one in self.complete]
        return np.median(means, axis=0).tolist() if len(means) >= _LEAST_TO_PRUNE else []

    def ask(self, position: int) -> Trial:
        """Draw the next trial.

        Args:
            position: number of trials before it. The draw depends on the seed, on the position
                and on the results recorded so far, and not on interruptions of the search.
        """
        drawn = np.random.SeedSequence((self._seed, position)).generate_state(1)
        self._study.sampler = TPESampler(
            n_startup_trials=_RANDOM_FIRST,
            multivariate=False,
            # Running trials count as bad ones, so that a batch does not draw the same candidate
            # again and again (Ginsbourger et al. 2010).
            constant_liar=True,
            seed=int(drawn[0]),
        )
        return self._study.ask()

    def tell(self, trial: Trial, tried: FoldLosses) -> None:
        """Record the result of a trial. Its state is written last, so no half result can count."""
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
