"""Signals to a program in the first moments of its start."""

from pathlib import Path


def signal_at_each_import(folder: Path, *numbers: int) -> Path:
    """A folder for PYTHONPATH that has a program of ours get signals at each import.

    They begin with the first import after `serving.program.early_signals`: before it there is only
    the interpreter.
    """
    patched = folder / "signals"
    patched.mkdir()
    patched.joinpath("sitecustomize.py").write_text(
        f"""\
import os, sys

class Signalling:
    has_begun = False

    def find_spec(self, name, path, target=None):
        self.has_begun |= name == "serving.program.start"
        if self.has_begun:
            for number in {[int(one) for one in numbers]}:
                os.kill(os.getpid(), number)

sys.meta_path.insert(0, Signalling())
"""
    )
    return patched
