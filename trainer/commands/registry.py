"""`millhand-trainer registry`: the commands of `serving.publishing.repository`."""

import argparse
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

from models.bundle.manifest import utc
from serving.publishing import joint_signing, repository
from serving.publishing.keys import Keys
from serving.publishing.proposal import Proposal
from serving.publishing.releases import DEFAULT_VALIDITY, TrustedRoot, Validity
from trainer.console import Console
from trainer.errors import UsageError

Actions: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001  the type has no public name


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their options to the parser."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    init = _action(actions, "init", "make an empty registry and its keys")
    init.add_argument("--root-keys", type=int, default=1, help="root keys to make; default 1")
    signers = "number of root keys that must sign a new root; default 1"
    init.add_argument("--root-threshold", type=int, default=1, help=signers)
    publishers = "targets keys to make, one for each person who publishes; default 1"
    init.add_argument("--targets-keys", type=int, default=1, help=publishers)
    agreeing = "number of targets keys that must sign what is published; default 1"
    init.add_argument("--targets-threshold", type=int, default=1, help=agreeing)
    by_stream = "give each stream a list of bundles of its own, as 'registry delegate' does"
    init.add_argument("--by-stream", action="store_true", help=by_stream)
    divided = "give each stream a list of bundles of its own: gateways then read no other"
    _action(actions, "delegate", divided)
    _action(actions, "unite", "put the bundles of all streams back into one list")
    _action(actions, "refresh", "sign metadata anew before it expires; to be run by a timer")
    revoke = _action(actions, "revoke", "withdraw a bundle: gateways refuse to activate it")
    revoke.add_argument("stream", help="name of the stream")
    revoke.add_argument("seq", type=int, help="seq of the bundle")
    rotate = _action(actions, "rotate", "replace the keys of a role by new ones")
    rotate.add_argument("role", choices=("root", "targets", "online"), help="role of the keys")
    sign = _action(actions, "sign", "add a signature to what waits for several, and publish it")
    sign.add_argument("--yes", action="store_true", help="sign without asking")
    sign.add_argument("--discard", action="store_true", help="remove what waits instead")
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
    parser.add_argument(
        "--accept-restored-registry",
        action="store_true",
        help="sign a registry that is older than what was signed with these keys before, because "
        "you have put back a backup of it; revocations since that backup must be made again",
    )


def keys_of(options: argparse.Namespace) -> Keys:
    """The folder of keys that the command line names."""
    return Keys(options.keys, options.passphrase_file, options.accept_restored_registry)


def validity_of(options: argparse.Namespace) -> Validity:
    """How long new signatures are valid, by the command line."""
    return Validity(online=timedelta(days=options.online_days))


def run(options: argparse.Namespace) -> int:
    """Run one of the registry's commands."""
    console = Console()
    if options.action not in ("init", "list"):
        note_first(keys_of(options), console)
    _RUN[options.action](options, console)
    if options.action != "list":
        note_keys(keys_of(options), console)
    return 0


def note_first(keys: Keys, console: Console) -> None:
    """Say that nothing is remembered yet that an older copy of the registry could be told by."""
    if not keys.sealed.exists():
        console.note(
            f"{keys.sealed} does not exist: nothing is known of what was signed before, and the"
            " registry is taken as it is"
        )


def note_keys(keys: Keys, console: Console) -> None:
    """Warn of keys that whoever reads the folder could sign with."""
    for warning in keys.warnings():
        console.note(warning)


def note_missing(missing: int, directory: Path, console: Console) -> None:
    """Say that further signatures are needed before gateways see a change."""
    console.note(
        f"signatures that are still needed: {missing}; run"
        f" 'millhand-trainer registry sign {directory}' with the other keys; gateways see nothing"
        " of it until then"
    )


def _init(options: argparse.Namespace, console: Console) -> None:
    root = repository.init(
        options.directory,
        keys_of(options),
        validity=validity_of(options),
        root_keys=options.root_keys,
        root_threshold=options.root_threshold,
        targets_keys=options.targets_keys,
        targets_threshold=options.targets_threshold,
        by_stream=options.by_stream,
    )
    console.print(f"made {options.directory}; keep the root keys in {options.keys} offline")
    _say_root(root, console)


def _delegate(options: argparse.Namespace, console: Console) -> None:
    found = repository.delegate(options.directory, keys_of(options), validity=validity_of(options))
    if found.missing:
        note_missing(found.missing, options.directory, console)
    console.print(f"streams that have a list of bundles of their own now: {found.streams}")
    console.note(
        "agents and servers of releases before this one find no bundle of these streams any more,"
        " and go on with what they have: upgrade them first"
    )


def _unite(options: argparse.Namespace, console: Console) -> None:
    found = repository.unite(options.directory, keys_of(options), validity=validity_of(options))
    if found.missing:
        note_missing(found.missing, options.directory, console)
    console.print(f"streams whose bundles are in the one list again: {found.streams}")
    console.note(
        "their own lists stay, signed and empty, because gateways have seen them: every place that"
        " signs still needs a release that knows them"
    )


def _refresh(options: argparse.Namespace, console: Console) -> None:
    status = repository.refresh(options.directory, keys_of(options), validity=validity_of(options))
    for warning in status.warnings:
        console.note(warning)
    if status.missing:
        note_missing(status.missing, options.directory, console)
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
    if release.missing:
        note_missing(release.missing, options.directory, console)
        return
    console.print(f"revoked {release.stream}#{release.seq}; push another to gateways that serve it")


def _rotate(options: argparse.Namespace, console: Console) -> None:
    root = repository.rotate(
        options.directory, options.role, keys_of(options), validity=validity_of(options)
    )
    if root is None:
        found = joint_signing.waiting(options.directory, keys_of(options))
        note_missing(found.missing, options.directory, console)
        return
    _say_root(root, console)


def _sign(options: argparse.Namespace, console: Console) -> None:
    keys, validity = keys_of(options), validity_of(options)
    if options.discard:
        joint_signing.discard(options.directory, keys)
        console.print(f"nothing waits for signatures in {options.directory} any more")
        return
    found = joint_signing.waiting(options.directory, keys, validity=validity)
    _show_proposal(found, console)
    if not options.yes and not console.asks("Sign this?", otherwise="--yes"):
        raise UsageError("not signed")
    signed = joint_signing.sign(options.directory, found, keys, validity=validity)
    if signed.is_published:
        console.print(f"signed and published; version {signed.version}")
    elif signed.missing:
        note_missing(signed.missing, options.directory, console)
    else:
        console.note(
            "signed by enough keys; it is published by 'registry sign' in the folder that has the"
            " online key, and the new keys if some are replaced"
        )


def _show_proposal(found: Proposal, console: Console) -> None:
    for change in found.changes:
        console.print(change)
    signers = ", ".join(keyid[:8] for keyid in found.signed)
    console.print(f"signed by {signers}; signatures that are still needed: {found.missing}")


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


_RUN = {
    "init": _init,
    "delegate": _delegate,
    "unite": _unite,
    "refresh": _refresh,
    "revoke": _revoke,
    "rotate": _rotate,
    "sign": _sign,
    "list": _list,
}


def _action(actions: Actions, name: str, purpose: str) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=purpose, description=purpose)
    parser.add_argument("directory", type=Path, help="folder of the registry")
    signing_arguments(parser)
    return parser


def _say_root(root: TrustedRoot, console: Console) -> None:
    console.print(f"trusted root, to be installed on every gateway: {root.path}")
    console.print(f"version {root.version}, sha256 {root.sha256}")
