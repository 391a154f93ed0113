"""Which rows of `[data]` are read: of which sheet, from which database, by which qualities.

`trainer.recipe.data_section` has the other keys of that section.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from models.bundle.manifest import Finite
from models.input.codecs.qualities import QualityMap
from trainer.recipe.selection.row_filter import RowFilter


def _condition(text: str) -> str:
    RowFilter(text)
    return text


class LongTable(BaseModel, frozen=True, extra="forbid"):
    """Where a long table, a row of which is one value of one signal, has names and values.

    Attributes:
        name: the column with the names of the signals.
        value: the column with their values.
    """

    name: str
    value: str


class RowSource(BaseModel, frozen=True, extra="forbid"):
    """Which rows are read, and which of their values count.

    Attributes:
        sql: a query that gives the rows instead of files, from a database.
        url_env: name of the environment variable with the URL of that database.
        sql_rows: the most rows that the query may give.
        sql_timeout_s: seconds that the query may take, to its last row.
        sheet: the sheet of a workbook. None: its only sheet, or the only one with all columns.
        long: for tables of which a row is one value of one signal; then the columns of signals and
            target are names in it. None: a row has a column for each signal.
        quality: the column that says how good the values of a row are; signals may have columns of
            their own. None: all values are good. BAD values count as missing, as on the gateway.
        quality_map: whose qualities these are, by a name or a table, as on the gateway.
        where: a condition on columns, such as `mode == "auto" and load > 10`; other rows are left
            out.
    """

    sql: Annotated[str, Field(min_length=1, max_length=100_000)] | None = None
    url_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")] | None = None
    sql_rows: Annotated[int, Field(ge=1, le=1_000_000_000)] = 10_000_000
    sql_timeout_s: Annotated[Finite, Field(gt=0, le=86_400)] = 600.0
    sheet: str | None = None
    long: LongTable | None = None
    quality: str | None = None
    quality_map: QualityMap | None = None
    where: Annotated[str, AfterValidator(_condition)] | None = None

    @property
    def row_filter(self) -> RowFilter | None:
        """The condition of `where`; None without one."""
        return None if self.where is None else RowFilter(self.where)
