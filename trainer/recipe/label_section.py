"""How a recipe makes labels by rules where no column of the files has them: `[[labels]]`.

[[labels]]                  # the first rule that fits a row decides
until_row = 160
label = "normal"

[[labels]]
files = "d01*"
label = "feed ratio"
"""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from trainer.recipe.data_section import Label, Source, anchored
from trainer.recipe.section import Section

LABEL = "label"
"""Name of the column that the rules make."""
_WAYS = ("label", "spans", "largest_of")


def one_column(value: Any) -> Any:  # noqa: ANN401  any TOML value
    """Tell how several one-hot columns are read as one label; other values stay as they are.

    Raises:
        ValueError: the value is a list.
    """
    if isinstance(value, list):
        raise ValueError(  # noqa: TRY004  pydantic makes mistakes of a recipe from this one
            "one column is needed; the largest of several names the class by [[labels]] with "
            f"largest_of = {value}, and column = '{LABEL}'"
        )
    return value


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _table(value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  any TOML value
    return anchored(value, info) if isinstance(value, str) else value


class LabelRule(Section):
    """A rule that gives labels to the rows that it fits, unless a rule above has decided.

    Attributes:
        files: patterns of the names of the files whose rows the rule is for; empty for all.
        until_row: number of first rows of each asset that the rule is for; None for all rows.
        label: the label of these rows; the empty text leaves them without one.
        spans: path of a CSV with the columns `from`, `to` and `label`, and with `asset` where
            they hold for one asset only. A row within a span has its label; `to` is outside.
        largest_of: columns of numbers, of which the largest names the class of a row by the
            column's name.
    """

    files: Annotated[tuple[str, ...], BeforeValidator(_several), Field(max_length=1000)] = ()
    until_row: Annotated[int, Field(ge=1)] | None = None
    label: Label | None = None
    spans: Annotated[str | None, BeforeValidator(_table)] = None
    largest_of: Annotated[tuple[str, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        given = [way for way in _WAYS if getattr(self, way) not in (None, ())]
        if len(given) != 1:
            found = f"found {' and '.join(given)}" if given else "found none of them"
            raise ValueError(f"a rule has one of {', '.join(_WAYS)}; {found}")
        if len(self.largest_of) == 1:
            raise ValueError(f"largest_of needs two columns or more, found {self.largest_of[0]}")
        return self


Rules = Annotated[tuple[LabelRule, ...], Field(max_length=1000)]


def label_mistakes(rules: Rules, column: str | None, *, is_number: bool, data: Source) -> list[str]:
    """Mistakes of the rules that come from other sections of the recipe.

    Args:
        rules: the recipe's `[[labels]]`.
        column: the column of the target.
        is_number: whether the target is a number.
        data: the recipe's `[data]`.
    """
    if not rules:
        return []
    if is_number:
        return ["labels: a regression learns numbers, not labels; remove them, or change the task"]
    found = []
    if column != LABEL:
        found.append(f"labels make the column '{LABEL}', which target.column must name")
    if data.time is None and any(rule.spans for rule in rules):
        found.append("labels.spans needs data.time")
    return found
