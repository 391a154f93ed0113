"""`millhand-trainer publish`: signs a bundle, and puts it into a registry."""

import argparse
from pathlib import Path

from trainer.commands.registry import keys_of, signing_arguments, validity_of
from trainer.console import Console
from trainer.registry import repository


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add = parser.add_argument
    add("bundle", type=Path, help="the bundle to publish")
    add("--registry", type=Path, required=True, help="folder of the registry")
    add("--floor-seq", type=int, help="lowest seq of the stream that gateways may still run")
    signing_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Publish the bundle, and print its release."""
    release = repository.publish(
        options.registry,
        options.bundle,
        keys_of(options),
        floor_seq=options.floor_seq,
        validity=validity_of(options),
    )
    Console().print(
        f"published {release.stream}#{release.seq}, {release.length} bytes, sha256 {release.sha256}"
    )
    return 0
