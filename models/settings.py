"""What all sections of a configuration file have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1, le=10_000_000)]
Seconds = Annotated[float, Field(gt=0, le=366 * 86_400)]


class Section(BaseModel):
    """A part of a configuration file: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
