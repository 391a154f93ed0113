"""What the other commands say on a gateway, where only the base install is."""

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


def said(python: Path, *words: str, package: str = "trainer") -> subprocess.CompletedProcess[str]:
    command = [str(python), "-m", package, *words]
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


def test_server_names_the_extra_that_is_missing(python: Path, tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    (tmp_path / "root.json").write_text("{}")
    config.write_text(
        f"""
        server = {{ state_dir = "{tmp_path}" }}
        registry = {{ url = "file://{tmp_path}", root = "{tmp_path}/root.json" }}
        streams = [{{ stream = "mass" }}]
        """
    )
    for command in ("run", "check"):
        run = said(python, command, "--config", str(config), package="server")
        found = run.stdout + run.stderr
        assert run.returncode == {"run": 78, "check": 1}[command], found
        assert (
            "httptools, prometheus-client, uvloop not installed: pip install 'millhand[server]'"
            in found
        )


def test_server_names_the_extra_that_grpc_needs(python: Path, tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    (tmp_path / "root.json").write_text("{}")
    config.write_text(
        f"""
        server = {{ state_dir = "{tmp_path}" }}
        registry = {{ url = "file://{tmp_path}", root = "{tmp_path}/root.json" }}
        streams = [{{ stream = "mass" }}]
        grpc = {{}}
        """
    )
    for command in ("run", "check"):
        run = said(python, command, "--config", str(config), package="server")
        assert run.returncode == 78
        assert "grpc: grpcio not installed: pip install 'millhand[server,grpc]'" in run.stderr


@pytest.mark.parametrize("encoding", ["cbor", "msgpack"])
def test_agent_names_the_extra_that_an_encoding_needs(
    python: Path, tmp_path: Path, encoding: str
) -> None:
    config = tmp_path / "agent.toml"
    (tmp_path / "root.json").write_text("{}")
    config.write_text(
        f"""
        gateway = {{ id = "gw1", state_dir = "{tmp_path}" }}
        broker = {{ host = "localhost" }}
        registry = {{ url = "file://{tmp_path}", root = "{tmp_path}/root.json" }}
        [[pipelines]]
        stream = "mass"
        inputs = [{{ topic = "t/{{asset}}", encoding = "{encoding}" }}]
        """
    )
    for command in ("run", "check"):
        run = said(python, command, "--config", str(config), package="agent")
        assert run.returncode == 78
        assert f"pip install 'millhand[{encoding}]'" in run.stderr


def test_missing_module_of_ours_is_a_bug_and_no_missing_extra() -> None:
    blocked = (
        "import sys; sys.modules['trainer.commands.schema'] = None; "
        "from trainer.__main__ import main; sys.exit(main(['schema']))"
    )
    command = [sys.executable, "-c", blocked]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 70
    assert "Traceback" in run.stderr
