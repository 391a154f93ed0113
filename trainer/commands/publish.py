"""`millhand-trainer publish`: sign a bundle into a registry."""

import argparse
from pathlib import Path

from trainer.commands.registry import keys_of, signing_arguments, validity_of
from trainer.console import Console
from trainer.registry import repository


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--registry", type=Path, required=True, help="its folder")
    parser.add_argument("--floor-seq", type=int, help="no older bundle of the stream may run on")
    signing_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Publish."""
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
