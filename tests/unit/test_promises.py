"""docs/security.md and docs/reliability.md: what is promised names tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from chaos.__main__ import NAMES

TESTS = Path(__file__).parents[1]
GUIDE = (TESTS.parent / "docs/security.md").read_text()
PROMISES = GUIDE.split("## What is promised")[1].split("\n## ")[0]
MAPPING = GUIDE.split("## IEC 62443-4-2")[1]
RELIABILITY = (TESTS.parent / "docs/reliability.md").read_text()
POINTS = RELIABILITY.split("## What cannot stop a gateway")[1]
_TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
_PATH = re.compile(r"`tests/([\w/]+\.py)(?:::(test_\w+))?`")
_CHAOS = re.compile(r"`make chaos CHAOS=\"--only ([\w-]+)\"`")


def rows(section: str) -> list[list[str]]:
    """The cells of each row of the tables, without their heads."""
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    heads = {at - 1 for at, line in enumerate(lines) if line.startswith("| ---")}
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for at, line in enumerate(lines)
        if at not in heads and not line.startswith("| ---")
    ]


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


@pytest.mark.parametrize("row", rows(POINTS), ids=lambda row: row[0][:60])
def test_point_names_tests_that_exist(row: list[str]) -> None:
    point, happens, tests = row
    assert point
    assert happens
    assert set(_CHAOS.findall(tests)) <= set(NAMES)
    found = [_PATH.fullmatch(name) for name in _CHAOS.sub("", tests).strip(", ").split(", ")]
    for one in found:
        assert one is not None, f"not the full path of a test: {tests}"
        names = functions(one[1])
        assert names, f"there is no {one[0]}"
        assert one[2] is None or one[2] in names


def test_no_point_is_told_twice() -> None:
    points = [row[0] for row in rows(POINTS)]
    assert len(points) > 40
    assert len(points) == len(set(points))


def test_every_requirement_has_a_state_and_says_how() -> None:
    found = rows(MAPPING)
    assert len(found) > 40
    for requirement, state, how in found:
        assert re.match(r"(CR|SAR|EDR|NDR)[ ,]", requirement)
        assert state in {"met", "in part", "operator", "not applicable"}
        assert how.endswith(".")
