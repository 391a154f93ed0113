"""What a fork gets: a workflow that does what CI does, and hooks that need no network."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKFLOW = (ROOT / ".github/workflows/ci.yml").read_text()
HOOKS = (ROOT / ".pre-commit-config.yaml").read_text()


def test_workflow_runs_the_commands_of_ci() -> None:
    command = (ROOT / ".ci/run").read_text().splitlines()[-1].removeprefix("exec ")
    assert f"- run: {command}\n" in WORKFLOW


def test_workflow_may_only_read() -> None:
    assert re.findall(r"^permissions:\n((?:  .*\n)+)", WORKFLOW, re.MULTILINE) == [
        "  contents: read\n"
    ]
    assert "secrets." not in WORKFLOW


def test_every_action_is_pinned_by_its_commit() -> None:
    actions = re.findall(r"uses: (\S+)", WORKFLOW)
    assert actions
    assert [one for one in actions if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one)] == []


def test_hooks_are_those_of_the_checkout() -> None:
    assert re.findall(r"repo: (\S+)", HOOKS) == ["local"]
    entries = re.findall(r"entry: (\S+)", HOOKS)
    assert entries
    assert {entry.rpartition("/")[0] for entry in entries} == {".venv/bin"}


def test_addresses_are_placeholders_of_one_host() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert {url.split("/")[2] for url in urls.values()} == {"millhand.example"}
