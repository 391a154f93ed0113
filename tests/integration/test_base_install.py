"""What the trainer's command says on a gateway, where only the base install is."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.environments import make_environment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a virtual environment with the packages that a gateway locks, and no others."""
    return make_environment(tmp_path_factory.mktemp("gateway"))


def said(python: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-m", "trainer", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=python.parent)


@pytest.mark.parametrize(
    "words", [("train", "recipe.toml"), ("drift", "--help"), ("pack", "x.toml"), ("record",)]
)
def test_command_names_the_extra_that_is_missing(python: Path, words: tuple[str, ...]) -> None:
    run = said(python, *words)
    assert run.returncode == 78
    assert run.stdout == ""
    (line,) = run.stderr.splitlines()
    assert line.startswith("millhand-trainer: ")
    assert "pip install 'millhand[trainer]'" in line


def test_command_is_explained_without_the_extra(python: Path) -> None:
    run = said(python, "--help")
    assert run.returncode == 0
    assert "train" in run.stdout


def test_missing_module_of_ours_is_a_bug_and_no_missing_extra() -> None:
    blocked = (
        "import sys; sys.modules['trainer.commands.schema'] = None; "
        "from trainer.__main__ import main; sys.exit(main(['schema']))"
    )
    command = [sys.executable, "-c", blocked]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 70
    assert "Traceback" in run.stderr
