"""Virtual environments as a gateway has them, made in a moment from the packages that are here."""

import re
import shutil
import venv
from collections.abc import Collection
from importlib.metadata import distribution
from pathlib import Path

from tests.kit.children import ROOT


def locked_packages() -> list[str]:
    """The packages that a gateway gets, besides millhand itself."""
    return re.findall(
        r"^([\w.-]+)==", (ROOT / "requirements" / "agent.txt").read_text(), re.MULTILINE
    )


def make_environment(folder: Path, copied: Collection[str] = ()) -> Path:
    """Make an environment with what a gateway locks, and no others; returns its Python.

    Args:
        folder: folder of the environment.
        copied: packages whose files are copied, so that a test may damage them; those of the
            others are symbolic links.
    """
    venv.create(folder, symlinks=True)
    for name in ("millhand", *locked_packages()):
        add_package(folder, name, is_copied=name in copied)
    add_command(folder)
    return folder / "bin" / "python"


def site_packages(folder: Path) -> Path:
    """The folder of the packages in an environment."""
    (found,) = folder.glob("lib/python*/site-packages")
    return found


def add_package(folder: Path, name: str, *, is_copied: bool = False) -> None:
    """Put one of the packages that are installed here into an environment."""
    package = distribution(name)
    for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
        source, target = Path(str(package.locate_file(top))), site_packages(folder) / top
        if is_copied and source.is_dir():
            shutil.copytree(source, target)
        else:
            target.symlink_to(source)


def add_command(folder: Path) -> None:
    """Write the console script, as pip does."""
    script = folder / "bin" / "millhand-agent"
    script.write_text(
        f"#!{folder}/bin/python\nimport sys\nfrom agent.__main__ import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
