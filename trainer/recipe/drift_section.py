"""The recipe's section `[drift]`: how a gateway is to notice that the data has changed."""

from typing import Annotated

from pydantic import Field

from models.bundle.manifest import Finite
from models.bundle.reference import MAX_WINDOW, MIN_WINDOW
from models.drift import BLOCKS
from trainer.recipe.data_section import Section


class DriftSection(Section):
    """Windows of the model are its samples here: one an answer.

    Attributes:
        window: samples of an asset that are compared with the training part at once; a hundredth of
            the training part if not given.
        false_alarms: share of these comparisons that may raise an alarm where nothing has changed.
    """

    window: Annotated[int, Field(ge=MIN_WINDOW, le=MAX_WINDOW, multiple_of=BLOCKS)] | None = None
    false_alarms: Annotated[Finite, Field(gt=0, le=0.1)] = 0.001
