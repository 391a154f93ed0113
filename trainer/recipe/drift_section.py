"""The recipe's section `[drift]`: when a gateway raises an alarm that the data has changed."""

from typing import Annotated

from pydantic import Field

from models.bundle.manifest import Finite
from models.bundle.reference import MAX_WINDOW, MIN_WINDOW
from models.drift import BLOCKS
from trainer.recipe.section import Section


class DriftSection(Section):
    """How many samples a gateway compares with the training part, and how often it may be wrong.

    A sample is the newest row of one of the model's windows, one for each prediction.

    Attributes:
        window: number of samples of one asset that are compared with the training part at a time.
            None takes a hundredth of the training part, within the limits of `models.drift`.
        false_alarms: share of these comparisons, 0 to 0.1, that may raise an alarm although
            nothing has changed.
    """

    window: Annotated[int, Field(ge=MIN_WINDOW, le=MAX_WINDOW, multiple_of=BLOCKS)] | None = None
    false_alarms: Annotated[Finite, Field(gt=0, le=0.1)] = 0.001
