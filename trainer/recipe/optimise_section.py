"""The recipe's section `[optimise]`: how a graph is made smaller and faster."""

from typing import Annotated

from pydantic import Field

from models.bundle.manifest import Finite
from trainer.recipe.search_section import Search
from trainer.recipe.section import Section


class Optimise(Section):
    """How the graph of a network is made smaller; other models stay as they are.

    Attributes:
        int8: whether the weights of a network above a megabyte become whole numbers of eight bits.
        tolerance: most that an answer may differ from that in full precision, as a share of the
            target's deviation, or of a probability.
        worse: how much worse the held-out figure may become: a share of an error such as `rmse`,
            or a part of a score such as `macro_f1`, of which 1 is the best.
    """

    int8: bool = False
    tolerance: Annotated[Finite, Field(gt=0, le=0.5)] = 0.05
    worse: Annotated[Finite, Field(ge=0, le=0.5)] = 0.01

    def mistakes(self, task: str, search: Search | None) -> list[str]:
        """Why no model of this recipe can be a network; empty if one can."""
        if not self.int8:
            return []
        if task == "anomaly":
            return ["optimise.int8: a detector stays in full precision; leave optimise.int8 out"]
        if search is not None and "mlp" in search.families:
            return []
        reason = (
            "optimise.int8: only networks have eight bits, and this recipe tries none; give "
            "[search] with 'mlp' among its candidates, or leave optimise.int8 out"
        )
        return [reason]
