"""The bill of materials lists what a gateway installs, and follows the CycloneDX schema."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements/agent.txt").read_text()


def made(path: Path) -> bytes:
    """What `make sbom` writes, by the interpreter of this test."""
    told = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "sbom", f"SBOM={path}"],  # noqa: S607  make is where the user has it
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (command,) = (
        line for line in told.stdout.replace("\\\n", " ").splitlines() if "cyclonedx_py" in line
    )
    _, *arguments = shlex.split(command)
    subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=True)
    return path.read_bytes()


@pytest.fixture(scope="module")
def sbom(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return made(tmp_path_factory.mktemp("sbom") / "agent.cdx.json")


def test_bill_of_materials_is_valid_cyclonedx(sbom: bytes) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom.decode()) is None


def test_every_locked_package_is_listed_with_its_version_and_hashes(sbom: bytes) -> None:
    document: dict[str, Any] = json.loads(sbom)
    listed = {one["name"]: one for one in document["components"]}
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK, re.MULTILINE))
    assert {name: one["version"] for name, one in listed.items()} == pins
    assert {one["purl"] for one in listed.values()} == {
        f"pkg:pypi/{name}@{version}" for name, version in pins.items()
    }
    hashes = {
        one["content"]
        for component in listed.values()
        for reference in component["externalReferences"]
        for one in reference["hashes"]
    }
    assert hashes == set(re.findall(r"--hash=sha256:([0-9a-f]{64})", LOCK))


def test_bill_of_materials_names_the_program(sbom: bytes) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    component = json.loads(sbom)["metadata"]["component"]
    assert (component["name"], component["version"]) == (project["name"], project["version"])


def test_bill_of_materials_is_the_same_again(sbom: bytes, tmp_path: Path) -> None:
    assert made(tmp_path / "again.cdx.json") == sbom
