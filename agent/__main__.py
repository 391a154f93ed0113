"""The command `millhand-agent`: parses arguments, runs a command, maps errors to exit codes."""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from agent.cli import check as preflight
from agent.cli.broker_check import ask_broker
from agent.config.secrets import exposed
from agent.config.toml_file import load_settings
from serving import log
from serving.errors import EXIT_BUG, EXIT_CONFIG, ConfigError

DEFAULT_CONFIG = Path("/etc/millhand/agent.toml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    The code 78 stands for a wrong configuration, after which systemd does not restart the service
    (`RestartPreventExitStatus=` in the unit). The code 70 stands for a bug.
    """
    chosen = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = chosen.command
    try:
        return command(chosen)
    except ConfigError as exc:
        print(exc, file=sys.stderr)
        return EXIT_CONFIG
    except KeyboardInterrupt:
        return 130
    except Exception:  # noqa: BLE001  the top of the process: a bug ends it, systemd restarts it
        traceback.print_exc()
        return EXIT_BUG


def _run(chosen: argparse.Namespace) -> int:
    settings = load_settings(chosen.config)
    from agent.app import build  # noqa: PLC0415  a mistake in the file is reported at once

    preflight.check_files(settings, chosen.config)
    log.start()
    for secret in exposed(settings):
        log.warning("secret may be read by others", reason=secret)
    reactor = build(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: reactor.stop())
    reactor.run()
    return 0


def _check(chosen: argparse.Namespace) -> int:
    settings = load_settings(chosen.config)
    preflight.check_files(settings, chosen.config)
    for line in (*preflight.describe(settings), *preflight.list_models(settings)):
        print(line)
    answers = [preflight.Answer("warn", secret) for secret in exposed(settings)]
    if chosen.connect:
        answers += [*ask_broker(settings), *preflight.ask_registry(settings)]
    for answer in answers:
        print(f"{answer.kind:<4}  {answer.text}")
    return int(any(answer.kind == "FAIL" for answer in answers))


def _models(chosen: argparse.Namespace) -> int:
    for line in preflight.list_models(load_settings(chosen.config)):
        print(line)
    return 0


def _why(chosen: argparse.Namespace) -> int:
    settings = load_settings(chosen.config)
    from agent.cli.why import explain  # noqa: PLC0415  as in _run

    for line in explain(settings, chosen.topic, chosen.payload):
        print(line)
    return 0


def _content(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as exc:
        raise argparse.ArgumentTypeError(f"{file}: {exc.strerror}") from exc


def _schema(chosen: argparse.Namespace) -> int:
    from agent.cli import schema  # noqa: PLC0415  as in _run

    if not chosen.check:
        schema.write(chosen.file)
        return 0
    stale = schema.stale(chosen.file)
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
    parsers["why"].add_argument("topic", help="the topic of the message")
    parsers["why"].add_argument(
        "--payload",
        type=_content,
        metavar="FILE",
        help="its payload; - reads standard input",
    )
    parsers["check"].add_argument(
        "--connect", action="store_true", help="also connect to the broker and to the registry"
    )
    parsers["schema"].add_argument(
        "--check", action="store_true", help="fail if the file is out of date"
    )
    parsers["schema"].add_argument(
        "--file",
        type=Path,
        default=Path("config/agent.schema.json"),
        help="the schema of the configuration; the others go to control/ beside it",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
