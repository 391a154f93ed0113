"""docs/security.md: every promise names tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
GUIDE = (TESTS.parent / "docs/security.md").read_text()
PROMISES = GUIDE.split("## What is promised")[1].split("\n## ")[0]
MAPPING = GUIDE.split("## IEC 62443-4-2")[1]
_TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def rows(section: str) -> list[list[str]]:
    """The cells of each row of a table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@cache
def functions(file: str) -> frozenset[str]:
    path = TESTS / file
    if not path.is_file():
        return frozenset()
    nodes = ast.walk(ast.parse(path.read_text()))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("row", rows(PROMISES), ids=lambda row: row[0][:60])
def test_promise_names_tests_that_exist(row: list[str]) -> None:
    promise, against, tests = row
    assert promise.endswith(".")
    assert against
    assert _TEST.search(tests)
    assert _TEST.sub("", tests).strip(" ,") == ""
    missing = [found[0] for found in _TEST.finditer(tests) if found[2] not in functions(found[1])]
    assert missing == []


def test_every_requirement_has_a_state_and_says_how() -> None:
    found = rows(MAPPING)
    assert len(found) > 40
    for requirement, state, how in found:
        assert re.match(r"(CR|SAR|EDR|NDR)[ ,]", requirement)
        assert state in {"met", "in part", "operator", "not applicable"}
        assert how.endswith(".")
