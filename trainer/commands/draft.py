"""`millhand-trainer draft`: looks at recorded files, and writes a recipe for them with comments.

The recipe and the picture are written last, when the recipe has been tried on the rows: on an
error, or after Ctrl-C, nothing is written.
"""

import argparse
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import get_args

from models.files import write_atomically
from trainer.console import Console
from trainer.draft.excerpt import excerpts
from trainer.draft.picture import picture_of
from trainer.draft.proposal import propose
from trainer.draft.recipe_text import recipe_text
from trainer.draft.trial import Trial, recipe_of, tried
from trainer.draft.wishes import Method, Wanted, Wishes
from trainer.errors import DataError, UsageError

_MAX_FILES = 10_000


def draft(files: list[Path], wishes: Wishes, folder: Path, console: Console) -> Trial:
    """Look at files, propose a recipe that will lie in `folder`, and try it on their rows.

    Args:
        files: the recorded files, with absolute paths.
        wishes: what the person has said beforehand.
        folder: the folder that the recipe will lie in.
        console: shows the progress.

    Raises:
        DataError: a file cannot be read, or no recipe can be made of the rows.
        UsageError: an option does not fit the files.
    """
    with excerpts(files) as begun:
        with console.stage("looking"):
            proposal = propose(files, begun, wishes, folder)
        with console.stage("trying"):
            return tried(proposal, begun, folder)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add = parser.add_argument
    add("files", type=Path, nargs="+", metavar="FILES", help="recorded files, CSV or Parquet")
    add("--target", metavar="NAME", help="the column that the model is to predict")
    add(
        "--task",
        choices=get_args(Wanted),
        help="what the model does; default: what the target's values suggest",
    )
    add("--split", choices=get_args(Method), help="how the test part is chosen")
    add("--test", nargs="+", default=[], metavar="FILE", help="names of the files of the test part")
    first = "train on so many first rows of each asset, and test on the others"
    add("--train-rows", type=_count, metavar="N", help=first)
    ended = (
        "table of the remaining life at the last row, one number for each asset of DATA in order"
    )
    add("--left", nargs=2, metavar=("DATA", "TABLE"), help=f"name of a data file, and a {ended}")
    add("--cap", type=float, help="longest remaining life to learn, in the unit of the time")
    add("--output", type=Path, default=Path("recipe.toml"), help="default: recipe.toml")
    add("--picture", type=Path, help="the page with the picture; default: the output with .html")
    add("--force", action="store_true", help="overwrite files that are there")


def run(options: argparse.Namespace) -> int:
    """Draft, and print what is unsure."""
    console = Console()
    output: Path = options.output.absolute()
    picture: Path = (options.picture or options.output.with_suffix(".html")).absolute()
    _check_outputs((output, picture), force=options.force)
    files = _files(options.files)
    found = draft(files, _wishes(options, output.parent), output.parent, console)
    text = recipe_text(found.proposal, os.path.relpath(picture, output.parent))
    recipe_of(text, output.parent)
    with console.stage("drawing"):
        page = picture_of(found)
    write_atomically(picture, page)
    write_atomically(output, text.encode())
    _tell(found, output, picture, console)
    return 0


def _tell(found: Trial, output: Path, picture: Path, console: Console) -> None:
    proposal = found.proposal
    for doubt in proposal.doubts:
        console.note(f"UNSURE: {doubt}")
    for finding in found.findings:
        if finding.severity == "warning":
            console.note(str(finding))
    used = ("it is the target", "it is the time", "it names the asset")
    left_out = {name: why for name, why in proposal.left_out.items() if why not in used}
    console.table(
        f"draft of {output.name}",
        {
            "looked at": proposal.looked_at,
            "assets": str(proposal.fleet.count),
            "signals": ", ".join(one.name for one in proposal.signals),
            "left out": "; ".join(f"{name}: {why}" for name, why in left_out.items()) or "nothing",
            "target": ", ".join(f"{key} {value}" for key, value in proposal.goal.target.items()),
            "split": ", ".join(f"{key} {value}" for key, value in proposal.goal.split.items()),
            "recipe": str(output),
            "picture": str(picture),
        },
    )


def _wishes(options: argparse.Namespace, folder: Path) -> Wishes:
    left = {}
    if options.left:
        table = Path(options.left[1]).absolute()
        if not table.is_file():
            raise UsageError(f"--left {options.left[1]}: there is no such file")
        left = {options.left[0]: os.path.relpath(table, folder)}
    return Wishes(
        target=options.target,
        task=options.task,
        method=options.split,
        test_files=tuple(options.test),
        train_rows=options.train_rows,
        left=left,
        cap=options.cap,
    )


def _files(given: list[Path]) -> list[Path]:
    """The files, each once, with absolute paths."""
    files = list(dict.fromkeys(path.absolute() for path in given))
    for path in files:
        if path.is_dir():
            raise UsageError(f"{path}: is a folder; name the files in it, such as '{path}/*.csv'")
        if not path.is_file():
            raise DataError(f"{path}: there is no such file")
    if len(files) > _MAX_FILES:
        raise UsageError(f"{len(files)} files are named, at most {_MAX_FILES} are read")
    return files


def _check_outputs(paths: tuple[Path, ...], *, force: bool) -> None:
    """Check that nothing would be overwritten, before the files are read.

    Raises:
        UsageError: a file is there already, or cannot be written.
    """
    for path in paths:
        if path.is_dir() or not path.parent.is_dir():
            raise UsageError(
                f"{path}: cannot be written there; give a file in a folder that exists"
            )
        if path.exists() and not force:
            raise UsageError(
                f"{path}: is there already; name another file, or overwrite it by --force"
            )
        try:
            with TemporaryFile(dir=path.parent):
                pass
        except OSError as exc:
            raise UsageError(
                f"{path}: cannot be written there, {exc.strerror}; name another folder"
            ) from exc


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}': a whole number from 1 on is needed")
    return int(text)
