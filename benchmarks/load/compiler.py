"""Compiles the benchmark's C programs when their sources are newer."""

import os
import shutil
from pathlib import Path

from benchmarks.errors import BenchmarkError
from tests.kit.children import ROOT, run

_SOURCES = Path(__file__).parent
_BUILD = ROOT / "build" / "benchmarks"
_FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE")
_COMPILE_S = 60.0


def compiled(name: str) -> str:
    """Return the path of the program made from `benchmarks/load/<name>.c`.

    Raises:
        KitError: there is no compiler or no libmosquitto, or the source does not compile.
    """
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/mosquitto.h").exists():
        raise BenchmarkError(
            "a C compiler and libmosquitto are needed; on Debian: apt install gcc libc6-dev "
            "libmosquitto-dev"
        )
    source, program = _SOURCES / f"{name}.c", _BUILD / name
    newest = max(file.stat().st_mtime for file in (source, *_SOURCES.glob("*.h")))
    if not program.exists() or program.stat().st_mtime < newest:
        _BUILD.mkdir(parents=True, exist_ok=True)
        # Renamed when it is complete, as two processes may compile it at the same time.
        made = program.with_suffix(f".{os.getpid()}")
        command = [compiler, *_FLAGS, "-o", str(made), str(source), "-lmosquitto"]
        run(command, _COMPILE_S)
        made.replace(program)
    return os.fspath(program)
