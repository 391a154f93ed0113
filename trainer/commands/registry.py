"""`millhand-trainer registry`: the commands of `trainer.registry.repository`."""

import argparse
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

from models.bundle.manifest import utc
from trainer.console import Console
from trainer.registry import repository
from trainer.registry.keys import Keys
from trainer.registry.releases import DEFAULT_VALIDITY, TrustedRoot, Validity

Actions: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001  the type has no public name


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their options to the parser."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    init = _action(actions, "init", "make an empty registry and its keys")
    init.add_argument("--root-keys", type=int, default=1, help="root keys to make; default 1")
    signers = "number of root keys that must sign a new root; default 1"
    init.add_argument("--root-threshold", type=int, default=1, help=signers)
    _action(actions, "refresh", "sign metadata anew before it expires; to be run by a timer")
    revoke = _action(actions, "revoke", "withdraw a bundle: gateways refuse to activate it")
    revoke.add_argument("stream", help="name of the stream")
    revoke.add_argument("seq", type=int, help="seq of the bundle")
    rotate = _action(actions, "rotate", "replace the keys of a role by new ones")
    rotate.add_argument("role", choices=("root", "targets", "online"), help="role of the keys")
    listing = actions.add_parser("list", help="list the bundles, without verification")
    listing.add_argument("directory", type=Path, help="folder of the registry")


def signing_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that every signing command needs."""
    parser.add_argument("--keys", type=Path, required=True, help="folder of the signing keys")
    parser.add_argument(
        "--passphrase-file", type=Path, help="file whose first line is the passphrase of the keys"
    )
    parser.add_argument(
        "--online-days",
        type=int,
        default=DEFAULT_VALIDITY.online.days,
        help="days that snapshot and timestamp are valid: for so long new metadata can be held "
        f"back from a gateway unnoticed; default {DEFAULT_VALIDITY.online.days}",
    )


def keys_of(options: argparse.Namespace) -> Keys:
    """The folder of keys that the command line names."""
    return Keys(options.keys, options.passphrase_file)


def validity_of(options: argparse.Namespace) -> Validity:
    """How long new signatures are valid, by the command line."""
    return Validity(online=timedelta(days=options.online_days))


def run(options: argparse.Namespace) -> int:
    """Run one of the registry's commands."""
    _RUN[options.action](options, Console())
    return 0


def _init(options: argparse.Namespace, console: Console) -> None:
    root = repository.init(
        options.directory,
        keys_of(options),
        validity=validity_of(options),
        root_keys=options.root_keys,
        root_threshold=options.root_threshold,
    )
    console.print(f"made {options.directory}; keep the root keys in {options.keys} offline")
    _say_root(root, console)


def _refresh(options: argparse.Namespace, console: Console) -> None:
    status = repository.refresh(options.directory, keys_of(options), validity=validity_of(options))
    for warning in status.warnings:
        console.note(warning)
    expires = {role: f"until {utc(moment)}" for role, moment in status.expires.items()}
    console.table("Signatures are valid", expires)


def _revoke(options: argparse.Namespace, console: Console) -> None:
    release = repository.revoke(
        options.directory,
        options.stream,
        options.seq,
        keys_of(options),
        validity=validity_of(options),
    )
    console.print(f"revoked {release.stream}#{release.seq}; push another to gateways that serve it")


def _rotate(options: argparse.Namespace, console: Console) -> None:
    root = repository.rotate(
        options.directory, options.role, keys_of(options), validity=validity_of(options)
    )
    _say_root(root, console)


def _list(options: argparse.Namespace, console: Console) -> None:
    console.grid(
        str(options.directory),
        ["stream", "seq", "bytes", "floor seq", "state", "sha256"],
        [
            [
                release.stream,
                str(release.seq),
                str(release.length),
                str(release.floor_seq),
                "revoked" if release.revoked else "",
                release.sha256,
            ]
            for release in repository.listing(options.directory)
        ],
    )


_RUN = {"init": _init, "refresh": _refresh, "revoke": _revoke, "rotate": _rotate, "list": _list}


def _action(actions: Actions, name: str, purpose: str) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=purpose, description=purpose)
    parser.add_argument("directory", type=Path, help="folder of the registry")
    signing_arguments(parser)
    return parser


def _say_root(root: TrustedRoot, console: Console) -> None:
    console.print(f"trusted root, to be installed on every gateway: {root.path}")
    console.print(f"version {root.version}, sha256 {root.sha256}")
