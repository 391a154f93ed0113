"""The schemas in config/ are up to date, and describe what they must."""

import json
from pathlib import Path

import pytest

from agent.__main__ import main
from agent.cli.schema import schemas
from models.control.documents import DOCUMENTS
from serving.preflight.schema_files import stale, write

ROOT = Path(__file__).parents[4]


def test_schemas_in_config_are_not_stale() -> None:
    assert stale(schemas(ROOT / "config/agent.schema.json")) == []


def test_there_is_one_for_the_configuration_and_one_a_document() -> None:
    names = {path.name for path in schemas(Path("agent.schema.json"))}
    assert names == {"agent.schema.json"} | {f"{name}.schema.json" for name in DOCUMENTS}


def test_what_was_written_is_not_stale_and_what_was_changed_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "agent.schema.json"
    assert main(["schema", "--check", "--file", str(file)]) == 1
    write(schemas(file))
    assert main(["schema", "--check", "--file", str(file)]) == 0
    (tmp_path / "control/desired.schema.json").write_text("{}")
    capsys.readouterr()
    assert main(["schema", "--check", "--file", str(file)]) == 1
    assert "desired.schema.json" in capsys.readouterr().err


def test_schema_lets_keys_of_later_releases_pass(tmp_path: Path) -> None:
    write(schemas(tmp_path / "agent.schema.json"))
    for path in (tmp_path / "control").iterdir():
        assert json.loads(path.read_bytes()).get("additionalProperties", True) is True
