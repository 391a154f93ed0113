"""`millhand-trainer`: read the command line, run one command, and turn errors into exit codes.

0   the command succeeded           65  the recorded data has to be corrected
1   the command failed              70  a bug in millhand, reported with a traceback
2   the command line is wrong       78  the recipe or the configuration has to be corrected, or the
                                        extra millhand[trainer] has to be installed
"""

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from models.errors import MillhandError
from models.printable import printable
from trainer.errors import DataError, RecipeError, UsageError

COMMANDS = {
    "draft": (
        "trainer.commands.draft",
        "look at recorded files, and write a recipe for them with comments",
    ),
    "train": (
        "trainer.commands.train",
        "train a model by a recipe, and write its bundle",
    ),
    "inspect": (
        "trainer.commands.inspect",
        "show and verify the contents of a bundle",
    ),
    "registry": ("trainer.commands.registry", "create and maintain a registry of signed bundles"),
    "publish": ("trainer.commands.publish", "sign a bundle and add it to a registry"),
    "push": (
        "trainer.commands.push",
        "select the bundle that gateways run, and await reports",
    ),
    "drift": ("trainer.commands.drift", "report when recorded data drifts from the training part"),
    "record": ("trainer.commands.record", "record the messages of a broker as training data"),
    "replay": ("trainer.commands.replay", "publish recorded files to a broker"),
    "pack": ("trainer.commands.pack", "make a bundle of an ONNX file that was trained elsewhere"),
    "schema": ("trainer.commands.schema", "write the JSON schema of the recipe"),
}
"""Module and help text of each command; only the module of the chosen command is imported."""
DESCRIPTION = "Trains models on recorded plant data, and publishes them as signed bundles."
FAILED, BUG, INTERRUPTED = 1, 70, 130
CODES = {UsageError: 2, DataError: 65, RecipeError: 78}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    given = list(sys.argv[1:] if words is None else words)
    try:
        options = _parser(given).parse_args(given)
        code: int = import_module(COMMANDS[options.command][0]).run(options)
    except MillhandError as exc:
        return _report(exc)
    except OSError as exc:
        where = f"{exc.filename}: " if exc.filename else ""
        print(printable(f"millhand-trainer: {where}{exc.strerror or exc}"), file=sys.stderr)
        return FAILED
    except ModuleNotFoundError as exc:
        return _not_installed(exc)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:  # noqa: BLE001  the top of the process: a bug ends it with exit code 70
        traceback.print_exc()
        return BUG
    return code


def _parser(given: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="millhand-trainer", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('millhand')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        if given[:1] == [name]:
            import_module(module).arguments(command)
    return parser


def _report(error: MillhandError) -> int:
    lines = str(error).split("\n")
    if len(lines) == 1:
        lines = [f"{lines[0]} [{error.code}]"]
    for line in lines:
        print(printable(f"millhand-trainer: {line}"), file=sys.stderr)
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), FAILED)


def _not_installed(error: ModuleNotFoundError) -> int:
    """Name the extra that is missing, as on gateways, where only the base install is."""
    library = (error.name or "").split(".")[0]
    if library in ("models", "serving", "trainer"):
        traceback.print_exception(error)
        return BUG
    remedy = "the trainer's libraries come with pip install 'millhand[trainer]'"
    print(f"millhand-trainer: {library} is not installed; {remedy}", file=sys.stderr)
    return CODES[RecipeError]


if __name__ == "__main__":
    sys.exit(main())
