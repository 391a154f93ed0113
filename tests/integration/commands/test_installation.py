"""An installation that an interrupted upgrade has left incomplete is told in one sentence."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.errors import EXIT_CONFIG
from tests.kit.broker.brokers import free_port
from tests.kit.environments import make_environment, site_packages
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.plant import MASS, MASS_PIPELINE
from tests.kit.wording import names


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment whose numpy, onnxruntime and pydantic are copies."""
    make_environment(tmp_path / "env", copied=("numpy", "onnxruntime", "pydantic"))
    return tmp_path / "env"


def agent(environment: Path, command: str) -> subprocess.CompletedProcess[str]:
    gateway = Gateway(environment.parent / "gw", free_port(), [MASS_PIPELINE])
    gateway.keep(MASS)
    words = ["bin/millhand-agent", command, "--config", str(gateway.write_config())]
    return subprocess.run(
        words, cwd=environment, capture_output=True, text=True, timeout=60, check=False
    )


def extension_is_gone(site: Path) -> None:
    for file in site.glob("numpy/_core/_multiarray_umath*"):
        file.unlink()


def extension_is_cut_off(site: Path) -> None:
    for file in site.glob("onnxruntime/capi/onnxruntime_pybind11_state*.so"):
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])


def source_is_cut_off(site: Path) -> None:
    for name in ("numpy/_core/multiarray.py", "pydantic/main.py"):
        content = (site / name).read_text()
        (site / name).write_text(content[: len(content) // 2])


def source_is_zeros(site: Path) -> None:
    """As a power cut leaves a file whose size was written before its content."""
    file = site / "pydantic" / "main.py"
    file.write_bytes(bytes(file.stat().st_size))


def record_is_gone(site: Path) -> None:
    """pip removes the old record first, under a name with a tilde, and writes the new one last."""
    (folder,) = site.glob("numpy-*.dist-info")
    folder.rename(site / f"~umpy{folder.name.removeprefix('numpy')}")
    (site / "numpy" / "__config__.py").unlink()


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("damage", "package"),
    [
        (extension_is_gone, "numpy"),
        (extension_is_cut_off, "onnxruntime"),
        (source_is_cut_off, "numpy"),
        (source_is_zeros, "pydantic"),
        (record_is_gone, "numpy"),
    ],
)
def test_package_that_is_half_installed_is_named_with_the_remedy(
    environment: Path, damage: Callable[[Path], None], package: str, command: str
) -> None:
    damage(site_packages(environment))
    done = agent(environment, command)
    assert done.returncode == EXIT_CONFIG
    (line,) = done.stderr.splitlines()[-1:]
    assert names(line, str(environment), "docs/install.md")
    assert package in line
    assert "Traceback" not in done.stderr


def test_check_finds_files_that_are_missing_before_anything_needs_them(environment: Path) -> None:
    (site_packages(environment) / "numpy" / "ma" / "core.py").unlink()
    done = agent(environment, "check")
    assert done.returncode == 1
    first, *_ = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert names(first, "numpy/ma/core.py")


def test_bug_in_a_sound_installation_is_a_bug(environment: Path) -> None:
    site = site_packages(environment)
    (site / "sitecustomize.py").write_text("import sys; sys.modules['agent.cli.check'] = None\n")
    done = agent(environment, "check")
    assert done.returncode == 70
    assert "Traceback" in done.stderr


def test_sound_installation_passes(environment: Path) -> None:
    done = agent(environment, "check")
    assert (done.returncode, done.stderr) == (0, "")


def test_package_that_is_missing_is_named(tmp_path: Path) -> None:
    make_environment(tmp_path / "env")
    (site_packages(tmp_path / "env") / "orjson").unlink()
    done = agent(tmp_path / "env", "run")
    assert done.returncode == EXIT_CONFIG
    assert "orjson" in done.stderr
