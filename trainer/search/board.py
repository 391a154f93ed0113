"""The leader board: the best that a search has found of each family."""

from dataclasses import dataclass

from trainer.estimators.choice import Choice


@dataclass(frozen=True, slots=True)
class Entry:
    """The best of one family.

    Attributes:
        features: the preset.
        figure: the metric, as the mean of the held-out folds.
        error: standard error of that mean, from the differences of the folds.
        seconds: that its fits took, all folds together.
        choice: how to make it.
    """

    family: str
    features: str
    figure: float
    error: float
    seconds: float
    choice: Choice

    @property
    def said(self) -> str:
        """The figure and its standard error."""
        return f"{self.figure:.4g} ± {self.error:.2g}"


@dataclass(frozen=True, slots=True)
class Board:
    """What came of a search.

    Attributes:
        metric: that it is about.
        entries: the best of each family, the best of all first.
        tried: candidates, those given up early included.
        remarks: what was left out, and why.
    """

    metric: str
    entries: tuple[Entry, ...]
    tried: int
    remarks: tuple[str, ...]

    def rows(self) -> list[list[str]]:
        """As a table: family, features, figure, seconds."""
        return [[one.family, one.features, one.said, f"{one.seconds:.1f}"] for one in self.entries]

    @staticmethod
    def header(metric: str) -> list[str]:
        """What the columns of `rows` are."""
        return ["family", "features", metric, "fit s"]
