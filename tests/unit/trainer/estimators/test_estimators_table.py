"""Every estimator is a graph within the tolerance, and the guide's table has it."""

from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from benchmarks.estimators import HEADER, compared, models
from trainer.estimators.detectors import DETECTORS
from trainer.estimators.families import FAMILIES
from trainer.estimators.fitting import Model

GUIDE = Path(__file__).parents[4] / "docs" / "estimators.md"
ROWS = 300
"""The table's models are fitted on 1,500 windows; a graph that is wrong is so with fewer."""


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture(scope="module")
def fitted() -> list[tuple[str, Model]]:
    with threadpool_limits(limits=1):
        return list(models(ROWS))


def test_every_estimator_answers_within_the_tolerance_as_a_graph(
    fitted: list[tuple[str, Model]],
) -> None:
    assert len(fitted) == 2 * len(FAMILIES) + len(DETECTORS)
    beyond = {(model.task, name): compared(model, ROWS)[2] for name, model in fitted}
    assert beyond == dict.fromkeys(beyond, 0)


def test_guide_has_every_estimator(fitted: list[tuple[str, Model]]) -> None:
    guide = GUIDE.read_text()
    assert HEADER in guide
    table = guide[guide.index(HEADER) :].split("\n\n")[0].splitlines()
    assert [[model.task, name] for name, model in fitted] == [cells(line)[:2] for line in table[2:]]
