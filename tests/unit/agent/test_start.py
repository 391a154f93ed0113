"""What the start of the agent loads, as it takes processor time on every gateway."""

import subprocess
from pathlib import Path

import pytest

from tests.kit.children import ROOT, python

CONFIG = ROOT / "config" / "agent.toml"
PROGRAM = """
import sys
from pathlib import Path
from agent.cli.commands import load
load(Path(sys.argv[1]))
import agent.app
print(*sys.modules)
"""
NOT_NEEDED = (
    "asyncio",  # pydantic-settings imports it
    "cryptography",
    "pydantic_settings",
    "securesystemslib",
    "tuf",
    "urllib3",
)


def loaded(environment: dict[str, str]) -> set[str]:
    """The modules that are there once the agent is put together."""
    command = [*python("agent")[:1], "-c", PROGRAM, str(CONFIG)]
    found = subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    return set(found.stdout.split())


@pytest.mark.parametrize(
    ("variables", "is_needed"),
    [({"MILLHAND_CONFIG": str(Path("agent.toml"))}, False), ({"MILLHAND_BROKER__PORT": "1"}, True)],
    ids=["file alone", "variables above it"],
)
def test_start_loads_no_library_that_it_does_not_need(
    variables: dict[str, str], *, is_needed: bool
) -> None:
    modules = loaded({"PATH": "/usr/bin:/bin", **variables})
    assert "onnxruntime" in modules
    assert modules.isdisjoint(NOT_NEEDED) is not is_needed


def test_plugin_that_another_package_brings_is_not_loaded(tmp_path: Path) -> None:
    trace = tmp_path / "loaded"
    (tmp_path / "stranger.py").write_text(f"open({str(trace)!r}, 'w')\nplugin = None\n")
    described = tmp_path / "stranger-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[pydantic]\nstranger = stranger:plugin\n")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)}
    command = python("agent", "models", "--config", CONFIG)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not trace.exists()
