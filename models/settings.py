"""What the sections of all configuration files have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1, le=10_000_000)]
"""A number of things, at least one."""
Seconds = Annotated[float, Field(gt=0, le=366 * 86_400)]
"""A duration in seconds, at most a year."""


class Section(BaseModel):
    """A section of a configuration file. It is frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
