"""Why a program cannot start although its configuration is right: its packages, or the processor.

An upgrade that was interrupted leaves packages that are installed in part; importing them fails in
many ways. NumPy's wheels for x86-64 are built for the instruction set x86-64-v2 (numpy 2.4). On an
older processor, or in a virtual machine that shows the model kvm64 or qemu64, importing NumPy
raises RuntimeError or ends the process by SIGILL, without a word. A restart changes none of this.

Only the standard library is imported here, as any other package may be the one that is broken.
"""

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution
from pathlib import Path

from serving.errors import ConfigError

_CPUINFO = Path("/proc/cpuinfo")
_X86_64_V2 = ("cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3")
"""Flags of /proc/cpuinfo that the x86-64 psABI demands for x86-64-v2; pni is SSE3."""
_NATIVE = ("numpy", "onnxruntime")
_IN_PLACE_OF = {"onnxruntime": ("onnxruntime-gpu",)}
"""Packages that are installed instead of one that millhand needs, and have the same modules."""
_IMPORT_S = 60.0
_MAX_NAMED = 4


def installed_version(name: str) -> str:
    """The version of a package, or of the one in its place; empty without one."""
    package = _installed(name)
    return package.version if package else ""


def check_libraries() -> None:
    """Check that no shared library of NumPy and onnxruntime is missing or cut off.

    A library that is cut off ends the process by SIGBUS while it is loaded, without a word.

    Raises:
        ConfigError: one is.
    """
    for name in _NATIVE:
        package = _installed(name)
        if package is None:
            continue  # the import fails, and is explained then
        # `Distribution.files` would take ten times as long, at each start.
        for line in (package.read_text("RECORD") or "").splitlines():
            path, _, rest = line.partition(",")
            size = rest.rpartition(",")[2]
            if ".so" in path and size.isdigit() and _size(package, path) != int(size):
                raise ConfigError(installation_fault())


def check_processor(cpuinfo: Path = _CPUINFO) -> None:
    """Check that NumPy and onnxruntime can be imported on a processor below x86-64-v2.

    They are imported in a child process, which may die, and only where instructions are missing:
    packages that were built on such a machine are fine there.

    Args:
        cpuinfo: file in the format of /proc/cpuinfo.

    Raises:
        ConfigError: they cannot be imported; the message names the missing instructions.
    """
    missing = _missing_instructions(cpuinfo)
    if not missing:
        return
    command = [sys.executable, "-c", f"import {', '.join(_NATIVE)}"]
    child = subprocess.run(  # noqa: S603  our own interpreter, no shell
        command, capture_output=True, timeout=_IMPORT_S, check=False
    )
    if child.returncode:
        raise ConfigError(
            f"this processor lacks {', '.join(missing)} (x86-64-v2), without which the installed "
            f"NumPy cannot run: in a virtual machine choose the processor model of the host "
            f"instead of kvm64 or qemu64; else use a newer machine"
        )


def explanation(error: BaseException, extra: str = "") -> str:
    """Why an import failed, in one sentence; empty where the installation is not the reason.

    Args:
        error: what was raised.
        extra: extra of the distribution that the program needs; empty for the base install.
    """
    if not _is_of_import(error):
        return ""
    return installation_fault(extra)


def installation_fault(extra: str = "") -> str:
    """What is missing or cut off in this environment, in one sentence; empty where it is whole.

    Args:
        extra: extra of the distribution that the program needs; empty for the base install.
    """
    if extra and (absent := missing(extra)):
        return f"{', '.join(absent)} not installed: pip install 'millhand[{extra}]'"
    faults = list(_faults(extra))
    if not faults:
        return ""
    named = "; ".join(faults[:_MAX_NAMED])
    more = f"; and {len(faults) - _MAX_NAMED} more" if len(faults) > _MAX_NAMED else ""
    return (
        f"the installation in {sys.prefix} is not complete ({named}{more}): install into a new "
        "environment, as docs/install.md describes under Upgrading"
    )


def missing(extra: str) -> list[str]:
    """Names of the packages that an extra of the distribution needs, and that are not installed."""
    return sorted(filter(_is_missing, _required(distribution("millhand"), extra)))


def _faults(extra: str) -> Iterator[str]:
    """One text for each package that millhand needs, and that is missing or incomplete."""
    waiting, seen = ["millhand"], {"millhand"}
    while waiting:
        name = waiting.pop()
        package = _installed(name)
        if package is None:
            yield f"{name} is not installed"
            continue
        yield from _file_faults(package)
        needed = _required(package, extra if name == "millhand" else "") - seen
        if name != "millhand":  # what others need may depend on the system, and is not evaluated
            needed = {one for one in needed if not _is_missing(one)}
        waiting += sorted(needed)
        seen |= needed


def _size(package: Distribution, path: str) -> int | None:
    """Bytes of an installed file; None where it is missing."""
    try:
        return Path(str(package.locate_file(path))).stat().st_size
    except OSError:
        return None


def _missing_instructions(cpuinfo: Path) -> list[str]:
    """What the processor lacks of x86-64-v2; empty for other architectures."""
    if os.uname().machine != "x86_64":
        return []
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return [flag for flag in _X86_64_V2 if flags and flag not in flags]


def _is_of_import(error: BaseException) -> bool:
    """Whether an error was raised while a module was imported, be it of the import itself or not.

    A file that was cut off raises errors of any kind: SyntaxError, AttributeError, ValueError.
    """
    if isinstance(error, ImportError | PackageNotFoundError):
        return True
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "<module>":
            return True
        trace = trace.tb_next
    return False


def _required(package: Distribution, extra: str) -> set[str]:
    """Names of the packages that a package needs, with those of one of its extras."""
    lines = package.requires or ()
    wanted = [one for one in lines if "extra ==" not in one or f'extra == "{extra}"' in one]
    return {_name_of(one) for one in wanted}


def _name_of(requirement: str) -> str:
    """The name in a requirement such as `paho-mqtt<3,>=2.2`."""
    for end, sign in enumerate(requirement):
        if not (sign.isalnum() or sign in "-_."):
            return requirement[:end]
    return requirement


def _installed(name: str) -> Distribution | None:
    """A package, or the one that is installed in its place; None without one."""
    for one in (name, *_IN_PLACE_OF.get(name, ())):
        with suppress(PackageNotFoundError):
            return distribution(one)
    return None


def _is_missing(name: str) -> bool:
    return _installed(name) is None


def _file_faults(package: Distribution) -> Iterator[str]:
    """Compare the files of a package with its record; only the modules count.

    After a power cut a file may have its size, and nothing but zeros in it: so the digests count.
    """
    absent, changed = [], []
    for file in package.files or ():
        if file.suffix == ".pyc" or file.parts[0] == "..":  # scripts and manual pages
            continue
        found = _size(package, str(file))
        if found is None:
            absent.append(str(file))
        elif file.size not in (None, found) or _has_other_content(file):
            changed.append(str(file))
    if absent or changed:
        first = (absent or changed)[0]
        yield (
            f"{package.metadata['Name']} {package.version} lacks {len(absent)} files, and "
            f"{len(changed)} have another content (first {first})"
        )


def _has_other_content(file: PackagePath) -> bool:
    """Whether the digest of a file is another one than in the record (PEP 376); reads it whole."""
    if file.hash is None or file.hash.mode not in hashlib.algorithms_guaranteed:
        return False
    try:
        with Path(str(file.locate())).open("rb") as content:
            digest = hashlib.file_digest(content, file.hash.mode).digest()
    except OSError:
        return True
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value
