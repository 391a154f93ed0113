"""Processes of the benchmark: each is ended by its own id when its context is left."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_STOP_S = 15.0
_TAIL_CHARS = 2000


class BenchmarkError(Exception):
    """The benchmark cannot go on: a tool is missing, or a process did not do its part."""


@contextmanager
def running(argv: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program from the repository's folder until the context is left.

    Args:
        argv: program and arguments.
        log: file for its output.
    """
    with log.open("wb") as output:
        child = subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def run(argv: Sequence[str], timeout_s: float) -> str:
    """Run a program from the repository's folder to its end and return what it printed.

    Raises:
        BenchmarkError: it failed, or took longer than `timeout_s`.
    """
    try:
        done = subprocess.run(
            argv,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=True,
        )
    except subprocess.TimeoutExpired as exc:
        raise BenchmarkError(f"{argv[0]} did not end within {timeout_s:g} s") from exc
    except subprocess.CalledProcessError as exc:
        said = (exc.stdout + exc.stderr)[-_TAIL_CHARS:]
        raise BenchmarkError(f"{' '.join(argv)} exited with {exc.returncode}:\n{said}") from exc
    return done.stdout


def python(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def tail(log: Path) -> str:
    """Return the end of a log."""
    return log.read_text(errors="replace")[-_TAIL_CHARS:]
