"""The commands of `millhand-agent`: parses arguments, runs one, maps errors to exit codes."""

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from agent.cli import check as preflight
from agent.cli.contradictions import find_contradictions
from agent.cli.learning import options as learning
from agent.config.settings import Settings
from models.printable import printable
from serving.preflight import schema_files
from serving.preflight.answer import Answer
from serving.preflight.kept import clear, list_quarantined
from serving.preflight.toml_file import load_settings
from serving.program.installation import check_libraries, check_processor
from serving.program.outcome import exit_code

DEFAULT_CONFIG = Path("/etc/millhand/agent.toml")
SCHEMA = "config/agent.schema.json"


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; see `serving.program.outcome`."""
    chosen = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = chosen.command
    return exit_code(lambda: command(chosen))


def load(path: Path) -> Settings:
    """Read and check the configuration.

    Raises:
        ConfigError: a line for each mistake: file, key, what was found and what is allowed.
    """
    return load_settings(path, Settings, SCHEMA)


def _run(chosen: argparse.Namespace) -> int:
    check_libraries()
    check_processor()
    settings = load(chosen.config)
    preflight.check_files(settings, chosen.config)
    from agent.service import serve  # noqa: PLC0415  a mistake in the file is reported at once

    serve(settings, chosen.config)
    return 0


def _check(chosen: argparse.Namespace) -> int:
    check_libraries()
    check_processor()
    settings = load(chosen.config)
    preflight.check_files(settings, chosen.config)
    for line in (*preflight.describe(settings), *preflight.list_models(settings)):
        print(printable(line))
    has_failed = False
    for answer in _answers(settings, chosen):
        print(printable(f"{answer.kind:<4}  {answer.text}"))
        has_failed |= answer.kind == "FAIL"
    return int(has_failed)


def _answers(settings: Settings, chosen: argparse.Namespace) -> Iterator[Answer]:
    """The answers to all that is asked, each as soon as it is there."""
    import_module("agent.app")  # what cannot be imported keeps `run` from starting
    from serving.preflight.model_check import prove_kept  # noqa: PLC0415  as in _run

    yield from preflight.inspect_installation()
    yield from preflight.find_unwritable(settings)
    yield from preflight.find_exposed(settings)
    yield from find_contradictions(settings)
    yield from preflight.find_guessed(settings)
    yield from preflight.find_unheld(settings)
    store, limits = preflight.store(settings), settings.limits
    yield from prove_kept(store, settings.streams, settings.proof, limits.max_batch)
    if chosen.connect:
        from agent.cli.connect.broker import ask_broker  # noqa: PLC0415  no other command needs it

        yield from ask_broker(settings, may_interrupt=chosen.interrupt)
        yield from preflight.ask(settings)


def _models(chosen: argparse.Namespace) -> int:
    settings = load(chosen.config)
    state_dir = settings.gateway.state_dir
    if chosen.clear is None:
        lines = [*preflight.list_models(settings), *list_quarantined(state_dir)]
    else:
        lines = clear(state_dir, chosen.clear, "millhand-agent models")
    for line in lines:
        print(printable(line))
    return 0


def _why(chosen: argparse.Namespace) -> int:
    settings = load(chosen.config)
    from agent.cli.why import explain  # noqa: PLC0415  as in _run

    for line in explain(settings, chosen.topic, chosen.payload):
        print(_folded(printable(line)))
    return 0


def _folded(line: str) -> str:
    """The line, on a terminal in as many as its width needs, the further ones indented.

    A file or another program gets one line for each, so that it can be searched.
    """
    columns = shutil.get_terminal_size().columns
    if not sys.stdout.isatty() or len(line) <= columns:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.fill(
        line,
        columns,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
        replace_whitespace=False,
    )


def _learn(chosen: argparse.Namespace) -> int:
    from agent.cli.learning.command import learn  # noqa: PLC0415  no other command needs it

    return learn(chosen)


def _label(chosen: argparse.Namespace) -> int:
    settings = load(chosen.config)
    from agent.cli.label_table import hand_in  # noqa: PLC0415  as in _run

    lines, is_whole = hand_in(settings, chosen.file, chosen.stream)
    for line in lines:
        print(printable(line))
    return int(not is_whole)


def _content(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as exc:
        raise argparse.ArgumentTypeError(f"{file}: {exc.strerror}") from exc


def _schema(chosen: argparse.Namespace) -> int:
    from agent.cli.schema import schemas  # noqa: PLC0415  as in _run

    wanted = schemas(chosen.file)
    if not chosen.check:
        schema_files.write(wanted)
        return 0
    stale = schema_files.stale(wanted)
    for path in stale:
        print(f"{path} is stale; write it with: python -m agent schema", file=sys.stderr)
    return int(bool(stale))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="millhand-agent",
        description="Serves signed models on a gateway: readings in over MQTT, predictions out.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('millhand')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    default = Path(os.environ.get("MILLHAND_CONFIG", DEFAULT_CONFIG))

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> None:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        added.add_argument(
            "--config",
            type=Path,
            default=default,
            help=f"the TOML file (default {default})",
        )
        parsers[name] = added

    parsers: dict[str, argparse.ArgumentParser] = {}
    add("run", _run, "Serve predictions until the process is stopped.")
    add("check", _check, "Check the configuration, the files that it names and the stored bundles.")
    add("models", _models, "Show which models serve and which bundles are stored.")
    add("schema", _schema, "Write the JSON schemas of configuration and control documents.")
    add("why", _why, "Explain what the agent does with one message.")
    add("learn", _learn, "Listen to a broker, and draft the pipelines for what is on the wire.")
    add("label", _label, "Hand in late labels, with which kept predictions are compared.")
    _add_options(parsers)
    return parser


def _add_options(parsers: Mapping[str, argparse.ArgumentParser]) -> None:
    """Add what each command takes beside the configuration."""
    learning.arguments(parsers["learn"])
    parsers["why"].add_argument("topic", help="the topic of the message")
    parsers["why"].add_argument(
        "--payload",
        type=_content,
        metavar="FILE",
        help="its payload; - reads standard input",
    )
    parsers["label"].add_argument(
        "file", type=Path, help="table in CSV with the columns asset, from, to and value"
    )
    parsers["label"].add_argument("--stream", help="the stream, if several take labels")
    parsers["models"].add_argument(
        "--clear",
        metavar="STREAM[#SEQ]",
        help="let bundles that are in quarantine serve again, instead of showing the models",
    )
    parsers["check"].add_argument(
        "--connect", action="store_true", help="also connect to the broker and to the registry"
    )
    parsers["check"].add_argument(
        "--interrupt",
        action="store_true",
        help="with --connect: ask even if that may interrupt the connection of a running agent",
    )
    parsers["schema"].add_argument(
        "--check", action="store_true", help="fail if the file is out of date"
    )
    parsers["schema"].add_argument(
        "--file",
        type=Path,
        default=Path(SCHEMA),
        help="the schema of the configuration; the others go to control/ beside it",
    )
