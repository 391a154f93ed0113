"""The measurements as tables: medians, their spread, and ratios within the run.

A ratio is taken between two contenders in the same round, and the median of these is shown, so that
whatever else the machine does at that time disturbs both of them.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.experiments.suite import Measurement
from benchmarks.report.comparison import compared
from benchmarks.report.plot import plot
from benchmarks.report.views import VIEWS, Column, Table, View, by_round, spread


class Report:
    """All measurements of one run.

    Args:
        machine: the line about the machine and the versions.
        measurements: the measurements, in the order in which they were taken.
    """

    def __init__(self, machine: str, measurements: Sequence[Measurement]) -> None:
        self._machine = machine
        self._measurements = measurements

    def json(self) -> str:
        """Return all measurements, one object for each step."""
        found = {"machine": self._machine, "measurements": self._taken()}
        return json.dumps(found, indent=1) + "\n"

    def svg(self) -> str:
        """Return the picture."""
        return plot(self._taken())

    def markdown(self) -> str:
        """Return the tables and the machine line."""
        tables = [table.markdown() for table in self.tables()]
        return "\n\n".join([*tables, f"Machine: {self._machine}."]) + "\n"

    def tables(self) -> list[Table]:
        """Return a table for each experiment that was run, and one that compares two agents.

        A cell has the median over the rounds, with the least and the most in parentheses.
        """
        tables = [*map(self._table, VIEWS), compared(self._measurements)]
        return [table for table in tables if table.rows]

    def _taken(self) -> list[dict[str, Any]]:
        return [asdict(measurement) for measurement in self._measurements]

    def _table(self, view: View) -> Table:
        found = [m for m in self._measurements if m.experiment == view.experiment]
        lines = dict.fromkeys((m.case, m.qos, m.contender) for m in found)  # as first measured
        columns = [column for column in view.columns if _is_measured(column, found)]
        is_split = any(case for case, _, _ in lines)
        rows = []
        for case, qos, contender in lines:
            names = (contender, case, str(qos)) if is_split else (contender, str(qos))
            at_qos = [m for m in found if m.qos == qos]
            cells = (_cell(at_qos, (contender, case), column) for column in columns)
            rows.append((*names, *cells))
        names = ("contender", "at", "QoS") if is_split else ("contender", "QoS")
        headers = (*names, *(column.header for column in columns))
        return Table(view.title, headers, tuple(rows))


def _is_measured(column: Column, found: Sequence[Measurement]) -> bool:
    """Whether the contender and the case that the column is relative to were measured."""
    return any(column.contender in ("", m.contender) and column.case in ("", m.case) for m in found)


def _cell(found: Sequence[Measurement], line: tuple[str, str], column: Column) -> str:
    """Return one cell of the line of a contender in a case."""
    values = by_round(found, line, column.figure)
    if column.is_ratio:
        base_line = (column.contender or line[0], column.case or line[1])
        if base_line == line:
            return ""
        base = by_round(found, base_line, column.figure)
        values = {
            number: value / base[number] for number, value in values.items() if base.get(number)
        }
    return spread([value * column.scale for value in values.values()])
