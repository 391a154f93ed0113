"""docs/sparkplug.md and the statements beside it: keys, counters and tests that are named exist."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

from agent.config.sparkplug import Sparkplug
from models.control.documents import SparkplugMetrics
from tests.kit.sparkplug.statements import BY_ID

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/sparkplug.md").read_text()
STATEMENTS = (ROOT / "docs/sparkplug-statements.md").read_text()
ROWS = re.findall(r"^\| `([\w-]+)` \| (.+) \|$", STATEMENTS, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)(?:\[[\w-]+\])?`", STATEMENTS)))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def test_configuration_that_is_shown_is_enough() -> None:
    (shown,) = blocks("toml")
    assert Sparkplug.model_validate(tomllib.loads(shown)["sparkplug"]).group_id == "press-shop"


def test_every_key_is_in_the_table() -> None:
    table = GUIDE.split("## Turning it on")[1].split("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == [
        *Sparkplug.model_fields
    ]


def test_counters_that_are_shown_are_those_that_are_published() -> None:
    (shown,) = blocks("json")
    assert list(json.loads(shown)) == list(SparkplugMetrics.model_fields)


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_statement_names_a_test_that_exists(file: str, name: str) -> None:
    nodes = ast.walk(ast.parse((ROOT / file).read_text()))
    assert name in {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def test_each_statement_has_a_test_or_a_reason_why_it_does_not_apply() -> None:
    assert len(ROWS) == len(dict(ROWS)) >= 200
    held = {name for name, cell in ROWS if f"::test_statement_holds[{name}]`" in cell}
    assert held == set(BY_ID)
    others = [cell for name, cell in ROWS if name not in held]
    assert [one for one in others if not one.startswith(("does not apply: ", "`tests/"))] == []


def test_every_reason_is_in_the_tables() -> None:
    told = {*re.findall(r"`([a-z_]+)`", GUIDE.split("## Counters")[1].split("\n## ")[0])}
    files = [*(ROOT / "agent/sparkplug").glob("*.py")]
    counted = re.compile(r'(?:dropped\[|_refuse\(|published else .*?)"([a-z_]+)"')
    found = {one for file in files for one in counted.findall(file.read_text())}
    assert found <= told
    assert len(found) >= 6
