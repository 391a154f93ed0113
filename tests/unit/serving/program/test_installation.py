"""A processor that is too old for the installed packages is told in words."""

from pathlib import Path

import pytest

from serving.errors import ConfigError
from serving.program.installation import check_processor
from tests.kit.wording import names

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
