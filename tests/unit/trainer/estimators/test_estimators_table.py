"""Every estimator is a graph within the tolerance, and the guide's table has it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from benchmarks.estimators import HEADER, models, row
from trainer.estimators.detectors import DETECTORS
from trainer.estimators.families import FAMILIES

GUIDE = Path(__file__).parents[4] / "docs" / "estimators.md"


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture(scope="module")
def rows() -> Iterator[list[list[str]]]:
    with threadpool_limits(limits=1):
        yield [cells(row(name, model)) for name, model in models()]


def test_every_estimator_answers_within_the_tolerance_as_a_graph(rows: list[list[str]]) -> None:
    assert len(rows) == 2 * len(FAMILIES) + len(DETECTORS)
    assert [row for row in rows if not row[3].startswith("0 of")] == []


def test_guide_has_every_estimator(rows: list[list[str]]) -> None:
    guide = GUIDE.read_text()
    assert HEADER in guide
    told = [cells(line)[:2] for line in guide.splitlines() if line.startswith("| ")]
    assert [row[:2] for row in rows] == told[2:]
