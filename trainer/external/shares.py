"""How often an external model answers each class, which shows a wrong order or direction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.external.declaration import Declaration
from trainer.external.outputs import answers_of
from trainer.graph.export import Graph

# Share of alarms above which a detector is more likely to be declared the wrong way round than to
# have been shown a broken plant.
_TOO_MANY = 0.5


@dataclass(frozen=True, slots=True)
class ClassShares:
    """How often each class is answered.

    Attributes:
        shares: share of the windows by class, each from 0 to 1; empty for a regression.
        windows: number of windows that were asked.
        source: where the windows are from, "recorded windows" or the like.
        task: the task of the model.
    """

    shares: dict[str, float]
    windows: int
    source: str
    task: str

    @classmethod
    def of(
        cls,
        graph: Graph,
        wanted: Declaration,
        recorded: NDArray[np.float32] | None,
        probes: NDArray[np.float32],
    ) -> "ClassShares":
        """Ask the adapted graph for recorded windows, or for those made up if there are none.

        Args:
            graph: the graph, with the input and outputs of a bundle.
            wanted: the description of the graph.
            recorded: recorded windows spread over all, `[n, length, channels]`, or None.
            probes: windows within the ranges, `[n, length, channels]`.

        Raises:
            GraphError: the graph fails on a window.
        """
        windows = probes if recorded is None else recorded
        source = "windows made up within the ranges" if recorded is None else "recorded windows"
        shares = {}
        if wanted.classes:
            value = answers_of(graph, windows)["value"]
            shares = {name: float(np.mean(value == at)) for at, name in enumerate(wanted.classes)}
        return cls(shares, len(windows), source, wanted.task)

    @property
    def said(self) -> str:
        """The shares in words, the most frequent class first."""
        ordered = sorted(self.shares.items(), key=lambda one: -one[1])
        each = ", ".join(f"{name} {share:.1%}" for name, share in ordered)
        return f"{each} of {self.windows} {self.source}"

    @property
    def notes(self) -> list[str]:
        """A remark on a detector for which most windows are abnormal; empty if they are not."""
        alarms = [*self.shares.values()][1:] if self.task == "anomaly" else []
        if not any(share > _TOO_MANY for share in alarms):
            return []
        said = (
            f"{alarms[0]:.1%} of {self.windows} {self.source} are answered as abnormal; if most of "
            "them are normal, the threshold is wrong, or its direction: 'below' if a lower score "
            "is more abnormal"
        )
        return [said]
