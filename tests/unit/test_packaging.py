"""What is installed, under which names, and from what exactly."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points, packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
LOCKS = (
    "agent.txt",
    "server.txt",
    "grpc.txt",
    "encodings.txt",
    "trainer.txt",
    "sources.txt",
    "dev.txt",
)
NOT_ON_A_GATEWAY = {
    "cbor2",
    "httptools",
    "msgpack",
    "onnx",
    "pandas",
    "psycopg",
    "pyarrow",
    "python-calamine",
    "scikit-learn",
    "scipy",
    "skl2onnx",
    "uvicorn",
    "uvloop",
}


@cache
def owners() -> Mapping[str, list[str]]:
    """The distributions that have a module of each name."""
    return packages_distributions()


@pytest.mark.parametrize("name", ["agent", "models", "server", "serving", "trainer"])
def test_no_other_distribution_claims_our_import_names(name: str) -> None:
    assert set(owners()[name]) == {"millhand"}


@pytest.mark.parametrize("name", ["config", "demo", "tests", "benchmarks", "chaos"])
def test_folders_of_the_checkout_are_not_installed(name: str) -> None:
    assert "millhand" not in owners().get(name, [])


@pytest.mark.parametrize("script", ["millhand-agent", "millhand-server", "millhand-trainer"])
def test_command_leads_to_a_function(script: str) -> None:
    (command,) = {*entry_points(group="console_scripts", name=script)}
    assert callable(command.load())


@pytest.mark.parametrize("script", ["millhand-agent", "millhand-server", "millhand-trainer"])
def test_command_prints_its_version(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = {*entry_points(group="console_scripts", name=script)}
    with pytest.raises(SystemExit) as ended:
        command.load()(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{script} {version('millhand')}\n"


def test_base_install_carries_no_training_library_and_no_web_server() -> None:
    assert not NOT_ON_A_GATEWAY & {need.name for need in declared()}
    assert not NOT_ON_A_GATEWAY & locked("agent.txt").keys()


@pytest.mark.parametrize(
    ("package", "extras"),
    [
        ("agent", []),
        ("models", ["cbor", "msgpack"]),
        ("server", ["server", "grpc"]),
        ("serving", []),
        ("trainer", ["trainer", "excel", "postgresql"]),
    ],
)
def test_each_library_that_is_imported_is_declared(package: str, extras: list[str]) -> None:
    needed = {canonical(owners()[name][0]) for name in imported(package)} - {"millhand"}
    assert needed <= {need.name for need in declared(*extras)}


def test_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    names = (
        "agent",
        "models",
        "server",
        "serving",
        "trainer",
        "README.md",
        "LICENSE",
        "pyproject.toml",
    )
    for name in names:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    build = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    folders = (tmp_path / name for name in names if (tmp_path / name).is_dir())
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    wanted = {str(path.relative_to(tmp_path)) for path in files if path.suffix != ".pyc"}
    assert wanted <= {*zipfile.ZipFile(wheel).namelist()}
    assert {"trainer/report/style.css", "server/console/static/index.html"} <= wanted


@pytest.mark.parametrize("name", LOCKS)
def test_lock_pins_each_package_with_hashes_and_names_no_address(name: str) -> None:
    joined = (REQUIREMENTS / name).read_text().replace("\\\n", " ").splitlines()
    needs = [line for line in joined if line and not line.startswith("#")]
    pinned = re.compile(r"[a-z0-9-]+==[\w.!+]+(?: ;[^-]*)?(?:\s+--hash=sha256:[0-9a-f]{64})+")
    assert needs != []
    assert [need for need in needs if not pinned.fullmatch(need)] == []


@pytest.mark.parametrize("name", LOCKS[:-1])
def test_gateway_and_workstation_lock_the_same_versions(name: str) -> None:
    assert locked(name).items() <= locked("dev.txt").items()


def test_lock_satisfies_every_declared_dependency() -> None:
    everything = locked("dev.txt")
    missing = [
        str(need)
        for need in declared(*extras())
        if need.name not in everything or not need.specifier.contains(everything[need.name])
    ]
    assert missing == []


def extras() -> list[str]:
    """The names of all extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["optional-dependencies"]]


def declared(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(package: str) -> set[str]:
    """Top-level names that a package of ours imports from outside the standard library."""
    nodes = [
        node
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
    ]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {module.split(".")[0] for module in modules} - sys.stdlib_module_names


def locked(name: str) -> dict[str, str]:
    lines = (REQUIREMENTS / name).read_text().splitlines()
    pins = (re.match(r"([a-z0-9-]+)==(\S+)", line) for line in lines)
    return {pin[1]: pin[2] for pin in pins if pin}
