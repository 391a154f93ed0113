"""The families of models that a search chooses from, and their hyper-parameters.

A family draws its hyper-parameters from an Optuna trial, under names of its own such as
`forest.leaves`, and makes an unfitted estimator from them: seeded, and on one thread. Whatever
depends on the scale of the target is drawn as a ratio to its deviation, so that targets in bar and
in pascal give the same model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import BaseTrial
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, SVR

from trainer.estimators.lines import RidgeLine
from trainer.estimators.network import Network

Estimator = Any
Parameters = Mapping[str, Any]
_LEAST_GAMMA = 1e-4
_MOST_FREE_ROWS = 5_000
"""Most rows of trees whose leaves are not bounded: with more, a hundred of them fill a budget."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the hyper-parameters depend on besides the trial.

    Attributes:
        task: `classification` or `regression`.
        seed: seed of whatever the estimator draws.
        rows: number of rows of the smallest fit, for limits such as a number of neighbours.
        spread: standard deviation of the target of a regression; 1 for a classification.
        features: number of features of the preset that is tried first.
    """

    task: str
    seed: int
    rows: int
    spread: float = 1.0
    features: int = 50

    @property
    def numbers(self) -> bool:
        """Whether the task is a regression."""
        return self.task == "regression"


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of model.

    Attributes:
        draw: draws hyper-parameters from a trial, and returns an unfitted estimator with them.
        first: the hyper-parameters that are tried first.
        further: other hyper-parameters that are tried once all families had their first.
        scaled: whether the estimator measures distances, and needs standardised features.
        most_rows: most training windows that it is tried on, because the time or the size grow
            too fast; None has no limit.
    """

    draw: Callable[[BaseTrial, Setting], Estimator]
    first: Callable[[Setting], Parameters]
    further: Callable[[Setting], tuple[Parameters, ...]] = lambda _: ()
    scaled: bool = False
    most_rows: int | None = None


def _linear(trial: BaseTrial, of: Setting) -> Estimator:
    if not of.numbers:
        strength = trial.suggest_float("linear.c", 1e-4, 1e3, log=True)
        penalty = trial.suggest_categorical("linear.penalty", ["l2", "l1"])
        if penalty == "l2":
            return LogisticRegression(C=strength, max_iter=500)
        return LogisticRegression(
            C=strength, l1_ratio=1.0, solver="saga", max_iter=200, random_state=of.seed
        )
    kind = trial.suggest_categorical("linear.kind", ["ridge", "lasso", "elastic-net"])
    alpha = trial.suggest_float("linear.alpha", 1e-5, 10.0, log=True)
    if kind == "ridge":
        # Ridge penalises against a sum over the rows, Lasso against a mean.
        return RidgeLine(alpha=alpha * of.rows)
    if kind == "lasso":
        return Lasso(alpha=alpha * of.spread, max_iter=2000)
    # The penalty of Lasso grows with the target's scale, that of Ridge does not; each gets half.
    both = alpha * (of.spread + 1) / 2
    return ElasticNet(alpha=both, l1_ratio=of.spread / (of.spread + 1), max_iter=2000)


def _first_linear(of: Setting) -> Parameters:
    if of.numbers:
        return {"linear.kind": "ridge", "linear.alpha": 1e-3}
    return {"linear.penalty": "l2", "linear.c": 1.0}


def _boosting(trial: BaseTrial, of: Setting) -> Estimator:
    drawn: dict[str, Any] = {
        "learning_rate": trial.suggest_float("boosting.rate", 0.02, 0.3, log=True),
        "max_iter": trial.suggest_int("boosting.trees", 30, 400, log=True),
        "max_leaf_nodes": trial.suggest_int("boosting.leaves", 4, 63, log=True),
        "min_samples_leaf": trial.suggest_int("boosting.leaf_rows", 5, 100, log=True),
        "l2_regularization": trial.suggest_float("boosting.l2", 1e-3, 10.0, log=True),
        "max_features": trial.suggest_float("boosting.features", 0.3, 1.0),
        "early_stopping": False,
        "random_state": of.seed,
    }
    if not of.numbers:
        return HistGradientBoostingClassifier(**drawn)
    drawn["loss"] = trial.suggest_categorical("boosting.loss", ["squared_error", "absolute_error"])
    return HistGradientBoostingRegressor(**drawn)


def _first_boosting(of: Setting) -> Parameters:
    loss = {"boosting.loss": "squared_error"} if of.numbers else {}
    return {
        "boosting.rate": 0.1,
        "boosting.trees": 100,
        "boosting.leaves": 31,
        "boosting.leaf_rows": 20,
        "boosting.l2": 1e-3,
        "boosting.features": 1.0,
        **loss,
    }


def _grown(name: str, numbers: Any, classes: Any) -> Callable[[BaseTrial, Setting], Estimator]:  # noqa: ANN401  scikit-learn is untyped
    def draw(trial: BaseTrial, of: Setting) -> Estimator:
        kind = numbers if of.numbers else classes
        is_free = (
            of.rows <= _MOST_FREE_ROWS
            and trial.suggest_categorical(f"{name}.bounded", [True, False]) is False
        )
        return kind(
            n_estimators=trial.suggest_int(f"{name}.trees", 50, 150, log=True),
            max_leaf_nodes=None
            if is_free
            else trial.suggest_int(f"{name}.leaves", 16, 1024, log=True),
            min_samples_leaf=trial.suggest_int(f"{name}.leaf_rows", 1, 50, log=True),
            max_features=trial.suggest_float(f"{name}.features", 0.1, 1.0),
            random_state=of.seed,
            n_jobs=1,
        )

    return draw


def _first_grown(name: str) -> Callable[[Setting], Parameters]:
    # scikit-learn's default for a regression, all features at each split, takes three times as
    # long and is no better, on the turbine's nine features as on C-MAPSS's ninety.
    def first(of: Setting) -> Parameters:
        bounded = {f"{name}.bounded": True} if of.rows <= _MOST_FREE_ROWS else {}
        return {
            **bounded,
            f"{name}.trees": 100,
            f"{name}.leaves": 512,
            f"{name}.leaf_rows": 2,
            f"{name}.features": 0.4,
        }

    return first


def _further_extra_trees(of: Setting) -> tuple[Parameters, ...]:
    # Splits at random places average out over fully grown trees (Geurts et al. 2006, "Extremely
    # randomized trees"); bounded ones lose what makes them good.
    if of.rows > _MOST_FREE_ROWS:
        return ()
    name = "extra-trees"
    free = {f"{name}.bounded": False, f"{name}.trees": 100, f"{name}.leaf_rows": 1}
    return ({**free, f"{name}.features": 1.0 if of.numbers else 0.4},)


def _neighbours(trial: BaseTrial, of: Setting) -> Estimator:
    # Uniform weights: weights by distance cannot be exported within the tolerance of the parity
    # check.
    count = min(trial.suggest_int("neighbours.count", 1, 100, log=True), max(1, of.rows // 2))
    kind = KNeighborsRegressor if of.numbers else KNeighborsClassifier
    return kind(n_neighbors=count, n_jobs=1)


def _svm(trial: BaseTrial, of: Setting) -> Estimator:
    c = trial.suggest_float("svm.c", 1e-2, 1e3, log=True)
    gamma = trial.suggest_float("svm.gamma", _LEAST_GAMMA, 1.0, log=True)
    if not of.numbers:
        return CalibratedClassifierCV(SVC(C=c, gamma=gamma), ensemble=False, cv=3)
    epsilon = trial.suggest_float("svm.epsilon", 1e-3, 0.5, log=True)
    return SVR(C=c * of.spread, gamma=gamma, epsilon=epsilon * of.spread)


def _first_svm(of: Setting) -> Parameters:
    # Squared distances of standardised features grow with their number: what scikit-learn calls
    # gamma="scale" is one over the number and the variance, which is 1 here.
    gamma = float(min(max(1 / of.features, _LEAST_GAMMA), 1.0))
    drawn: dict[str, Any] = {"svm.c": 10.0, "svm.gamma": gamma}
    return {**drawn, "svm.epsilon": 0.1} if of.numbers else drawn


def _mlp(trial: BaseTrial, of: Setting) -> Estimator:
    width = trial.suggest_categorical("mlp.width", [16, 32, 64, 128])
    layers = trial.suggest_int("mlp.layers", 1, 2)
    kind = Network if of.numbers else MLPClassifier
    return kind(
        hidden_layer_sizes=(width,) * layers,
        alpha=trial.suggest_float("mlp.alpha", 1e-6, 1.0, log=True),
        learning_rate_init=trial.suggest_float("mlp.rate", 3e-4, 1e-2, log=True),
        max_iter=trial.suggest_int("mlp.rounds", 30, 200, log=True),
        # At most about a hundred batches in a round, so that large data does not take forever.
        batch_size=max(1, min(of.rows, max(64, of.rows // 100))),
        random_state=of.seed,
    )


FAMILIES: Mapping[str, Family] = {
    "linear": Family(_linear, _first_linear, scaled=True),
    "boosting": Family(_boosting, _first_boosting),
    "extra-trees": Family(
        _grown("extra-trees", ExtraTreesRegressor, ExtraTreesClassifier),
        _first_grown("extra-trees"),
        _further_extra_trees,
    ),
    "forest": Family(
        _grown("forest", RandomForestRegressor, RandomForestClassifier), _first_grown("forest")
    ),
    "neighbours": Family(
        _neighbours, lambda _: {"neighbours.count": 10}, scaled=True, most_rows=20_000
    ),
    "svm": Family(_svm, _first_svm, scaled=True, most_rows=5_000),
    "mlp": Family(
        _mlp,
        lambda _: {
            "mlp.width": 32,
            "mlp.layers": 1,
            "mlp.alpha": 1e-3,
            "mlp.rate": 3e-3,
            "mlp.rounds": 100,
        },
        scaled=True,
    ),
}
