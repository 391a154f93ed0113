"""What all sections of a recipe share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A section of a TOML file. It is frozen, and unknown keys in it are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Columns = Annotated[tuple[str, ...], Field(min_length=1, max_length=10)]


def names_of(named: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The names of columns as a tuple, whether the recipe gives none, one or a list."""
    return (named,) if isinstance(named, str) else named or ()
