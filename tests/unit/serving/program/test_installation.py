"""A processor that is too old for the installed packages, and packages that are not whole."""

import base64
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from serving.errors import ConfigError
from serving.program.installation import (
    check_libraries,
    check_processor,
    installation_fault,
    installed_version,
)
from tests.kit.wording import names

CODE = b"code"
KVM64 = "fpu de pse tsc msr cx8 sep cmov mmx fxsr sse sse2 syscall nx lm pni cx16 hypervisor"
PENRYN = f"{KVM64} ssse3 sse4_1 lahf_lm"
NEHALEM = f"{PENRYN} sse4_2 popcnt"
"""Flags of QEMU's processor models, as Linux shows them."""


def broken_numpy(folder: Path, code: str) -> Path:
    """A folder with a package numpy that fails as the real one would."""
    (folder / "numpy").mkdir(parents=True)
    (folder / "numpy" / "__init__.py").write_text(code)
    return folder


def cpuinfo(folder: Path, flags: str) -> Path:
    file = folder / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: QEMU\nflags\t\t: {flags}\nbugs\t\t: none\n")
    return file


@pytest.mark.parametrize("flags", [NEHALEM, ""])
def test_processor_that_has_all_instructions_or_tells_nothing_is_taken(
    tmp_path: Path, flags: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(broken_numpy(tmp_path, "raise RuntimeError")))
    check_processor(cpuinfo(tmp_path, flags))
    check_processor(tmp_path / "no such file")


def test_old_processor_is_taken_where_the_packages_were_built_for_it(tmp_path: Path) -> None:
    check_processor(cpuinfo(tmp_path, PENRYN))


@pytest.mark.parametrize(
    ("flags", "code", "missing"),
    [
        (PENRYN, "raise RuntimeError('baseline optimizations')", ["popcnt", "sse4_2"]),
        (KVM64, "import os; os.kill(os.getpid(), 4)", ["lahf_lm", "sse4_1", "ssse3"]),
    ],
)
def test_old_processor_is_refused_where_numpy_dies(
    tmp_path: Path,
    flags: str,
    code: str,
    missing: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(broken_numpy(tmp_path, code)))
    with pytest.raises(ConfigError) as refused:
        check_processor(cpuinfo(tmp_path, flags))
    assert names(refused.value, *missing, "x86-64-v2")


def make_package(site: Path, name: str, version: str, requires: Sequence[str] = ()) -> Path:
    """Install a package with one shared library; returns that library."""
    module = site / name.replace("-", "_")
    module.mkdir(parents=True)
    library = module / "library.so"
    library.write_bytes(CODE)
    info = site / f"{module.name}-{version}.dist-info"
    info.mkdir()
    needed = "".join(f"Requires-Dist: {one}\n" for one in requires)
    (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n{needed}")
    digest = base64.urlsafe_b64encode(hashlib.sha256(CODE).digest()).decode().rstrip("=")
    (info / "RECORD").write_text(f"{library.relative_to(site)},sha256={digest},{len(CODE)}\n")
    return library


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of packages: with millhand and NumPy, and without onnxruntime."""
    make_package(tmp_path, "millhand", "0.1.0", ["numpy>=2", "onnxruntime>=1.32"])
    make_package(tmp_path, "numpy", "2.4.0")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def test_onnxruntime_of_gpus_takes_the_place_of_the_other(site: Path) -> None:
    make_package(site, "onnxruntime-gpu", "1.32.1", ["numpy"])
    check_libraries()
    assert installation_fault() == ""
    assert installed_version("onnxruntime") == "1.32.1"


def test_onnxruntime_of_gpus_that_is_cut_off_is_named(site: Path) -> None:
    make_package(site, "onnxruntime-gpu", "1.32.1").write_bytes(b"co")
    with pytest.raises(ConfigError) as refused:
        check_libraries()
    assert names(refused.value, "onnxruntime-gpu", "library.so", "docs/install.md")


@pytest.mark.usefixtures("site")
def test_onnxruntime_that_is_missing_is_named() -> None:
    assert names(installation_fault(), "onnxruntime is not installed")
    assert installed_version("onnxruntime") == ""


def test_file_that_a_power_cut_has_left_with_its_size_alone_is_named(site: Path) -> None:
    library = make_package(site, "onnxruntime", "1.32.0")
    assert installation_fault() == ""
    library.write_bytes(bytes(len(CODE)))
    assert names(installation_fault(), "onnxruntime 1.32.0", "library.so", "docs/install.md")
