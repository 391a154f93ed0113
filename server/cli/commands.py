"""The commands of `millhand-server`: parses arguments, runs one, maps errors to exit codes."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from models.address import shortened
from models.printable import printable
from server.access.tls import context
from server.access.tokens import Tokens, made
from server.cli.retraining_parser import add_parsers as add_retraining_parsers
from server.cli.rollout_parser import add_parsers as add_rollout_parsers
from server.settings import MAX_WORKERS, Settings
from serving.errors import ConfigError
from serving.preflight import files, schema_files
from serving.preflight.answer import Answer
from serving.preflight.kept import clear, list_models, list_quarantined
from serving.preflight.registry import ask_registry, find_unencrypted
from serving.preflight.toml_file import load_settings
from serving.program.installation import (
    check_libraries,
    check_processor,
    installation_fault,
    missing,
)
from serving.program.outcome import exit_code
from serving.store import Store

DEFAULT_CONFIG = Path("/etc/millhand/server.toml")
SCHEMA = "config/server.schema.json"


def load(path: Path) -> Settings:
    """Read and check the configuration.

    Raises:
        ConfigError: a line for each mistake: file, key, what was found and what is allowed.
    """
    return load_settings(path, Settings, SCHEMA)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; see `serving.program.outcome`."""
    chosen = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = chosen.command
    return exit_code(lambda: command(chosen))


def _ready(chosen: argparse.Namespace) -> Settings:
    """The settings, after everything that `run` needs was looked at."""
    check_libraries()
    check_processor()
    settings = _with_workers(load(chosen.config), chosen.workers)
    files.check_files(
        chosen.config, settings.files, ("server.state_dir", settings.server.state_dir)
    )
    context(settings.access)
    Tokens(settings.access.tokens_file)
    if settings.grpc is not None and (absent := missing("grpc")):
        raise ConfigError(
            f"grpc: {', '.join(absent)} not installed: pip install 'millhand[server,grpc]', or "
            "remove the section [grpc]"
        )
    return settings


def _with_workers(settings: Settings, count: int | None) -> Settings:
    """The settings with the number of workers of the command line, where it gives one."""
    if count is None:
        return settings
    try:
        return settings.with_workers(count)
    except ValueError as exc:
        raise ConfigError(f"--workers: {exc}") from exc


def _workers(text: str) -> int:
    """The number of workers that the command line gives."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(
            f"'{text[:40]}' is no number of processes; allowed are 1 to {MAX_WORKERS}, such as the "
            "number of cores that the server may use"
        )
    return int(text)


def _run(chosen: argparse.Namespace) -> int:
    settings = _ready(chosen)
    from server.service import serve  # noqa: PLC0415  a mistake in the file is reported at once

    return serve(settings, chosen.config)


def _check(chosen: argparse.Namespace) -> int:
    settings = _ready(chosen)
    store = Store(settings.server.state_dir, settings.limits.keep_bundles)
    for line in (*_described(settings), *list_models(store, settings.names)):
        print(printable(line))
    has_failed = False
    for answer in _answers(settings, store, is_connected=chosen.connect):
        print(printable(f"{answer.kind:<4}  {answer.text}"))
        has_failed |= answer.kind == "FAIL"
    return int(has_failed)


def _described(settings: Settings) -> list[str]:
    server, access, console = settings.server, settings.access, settings.console
    needs = f"no token for {', '.join(sorted(access.open))}" if access.open else "tokens"
    lines = [
        f"server    {settings.address(server.port)}, state in {server.state_dir}",
        f"access    {needs}",
        f"registry  {shortened(settings.registry.url)}",
    ]
    if server.workers > 1:
        lines.insert(1, f"workers   {server.workers}, each with a copy of every model")
    if settings.grpc is not None:
        lines.append(f"gRPC      at {server.host}, port {settings.grpc.port}")
    if settings.rollouts is not None:
        lines.append(f"rollouts  of the registry in {settings.rollouts.registry}")
    if settings.retraining is not None:
        lines.append(f"retrains  {', '.join(settings.retraining.by_stream)}, with consent")
    if console is not None:
        lines.append(f"console   at /console, shows {console.broker.host}:{console.broker.port}")
    return lines


def _answers(settings: Settings, store: Store, *, is_connected: bool) -> Iterator[Answer]:
    """The answers to all that is asked, each as soon as it is there."""
    from serving.preflight.device import try_device  # noqa: PLC0415  as in _run
    from serving.preflight.model_check import prove_kept  # noqa: PLC0415  as in _run

    for sentence in (*files.exposed(settings.secrets), *settings.exposures):
        yield Answer("warn", sentence)
    cores, workers = len(os.sched_getaffinity(0)), settings.server.workers
    if workers > cores:
        sentence = f"server.workers is {workers}, but the server may use {cores} cores"
        yield Answer("warn", f"{sentence}: more workers than cores answer later")
    if fault := installation_fault("server"):
        yield Answer("FAIL", fault)
    if settings.rollouts is not None:
        from server.cli.rollouts import ask  # noqa: PLC0415  as in _run

        yield ask(settings.rollouts)
    if settings.retraining is not None:
        from server.cli.retraining import ask_streams  # noqa: PLC0415  as in _run

        yield from ask_streams(settings.retraining)
    yield from find_unencrypted(settings.registry)
    yield from try_device(settings.inference)
    yield from prove_kept(store, settings.names, settings.proof, settings.limits.max_batch)
    if is_connected:
        yield from ask_registry(settings.registry, settings.server.state_dir, settings.names)
        if settings.console is not None:
            from server.console.mqtt.reach import ask_broker  # noqa: PLC0415  as in _run

            yield ask_broker(settings.console)


def _models(chosen: argparse.Namespace) -> int:
    settings = load(chosen.config)
    state_dir = settings.server.state_dir
    if chosen.clear is None:
        store = Store(state_dir, settings.limits.keep_bundles)
        lines = [*list_models(store, settings.names), *list_quarantined(state_dir)]
    else:
        lines = clear(state_dir, chosen.clear, "millhand-server models")
    for line in lines:
        print(printable(line))
    return 0


def _schema(chosen: argparse.Namespace) -> int:
    wanted = {chosen.file: schema_files.schema(Settings)}
    if not chosen.check:
        schema_files.write(wanted)
        return 0
    stale = schema_files.stale(wanted)
    for path in stale:
        print(f"{path} is stale; write it with: python -m server schema", file=sys.stderr)
    return int(bool(stale))


def _token(chosen: argparse.Namespace) -> int:
    token, line = made(chosen.name, chosen.scopes.split(","))
    print("The token, which is shown this once, and stored nowhere:")
    print(f"\n    {token}\n")
    print("The line for the file that access.tokens_file names, which holds no secret:")
    print(f"\n    {line}")
    return 0


def _rollout(chosen: argparse.Namespace) -> int:
    settings = load(chosen.config)
    from server.cli.rollouts import run as run_rollout  # noqa: PLC0415  as in _run

    return run_rollout(chosen, settings)


def _retrain(chosen: argparse.Namespace) -> int:
    settings = load(chosen.config)
    from server.cli.retraining import run as run_retraining  # noqa: PLC0415  as in _run

    return run_retraining(chosen, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="millhand-server",
        description="Answers signed models over HTTP, by the Open Inference Protocol.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('millhand')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    default = Path(os.environ.get("MILLHAND_SERVER_CONFIG", DEFAULT_CONFIG))
    parsers: dict[str, argparse.ArgumentParser] = {}
    for name, command, text in (
        ("run", _run, "Answer requests until the process is stopped."),
        ("check", _check, "Check the configuration, the files that it names and stored bundles."),
        ("models", _models, "Show which models serve and which bundles are stored."),
        ("schema", _schema, "Write the JSON schema of the configuration."),
        ("token", _token, "Make a token for a client, and the line that lets it in."),
    ):
        added = parsers[name] = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        if command is not _token:
            added.add_argument(
                "--config", type=Path, default=default, help=f"the TOML file (default {default})"
            )
    _add_options(parsers)
    text = "Plan rollouts of bundles over the gateways, and decide about them."
    rollout = commands.add_parser("rollout", help=text, description=text)
    rollout.set_defaults(command=_rollout)
    add_rollout_parsers(rollout, default)
    text = "Propose to train models again, and decide about it."
    retrain = commands.add_parser("retrain", help=text, description=text)
    retrain.set_defaults(command=_retrain)
    add_retraining_parsers(retrain, default)
    return parser


def _add_options(parsers: Mapping[str, argparse.ArgumentParser]) -> None:
    parsers["token"].add_argument("name", help="name of the token, by which the log speaks of it")
    parsers["token"].add_argument(
        "--scopes",
        default="infer",
        metavar="SCOPE,SCOPE",
        help="what it is for: infer, read, admin (default infer)",
    )
    parsers["check"].add_argument(
        "--connect", action="store_true", help="also ask the registry, and the broker"
    )
    parsers["models"].add_argument(
        "--clear",
        metavar="STREAM[#SEQ]",
        help="let bundles that are in quarantine serve again, instead of showing the models",
    )
    for name in ("run", "check"):
        parsers[name].add_argument(
            "--workers",
            type=_workers,
            metavar="N",
            help="processes that answer on the one port (default server.workers, which is 1)",
        )
    parsers["schema"].add_argument(
        "--check", action="store_true", help="fail if the file is out of date"
    )
    parsers["schema"].add_argument("--file", type=Path, default=Path(SCHEMA), help="the file")
