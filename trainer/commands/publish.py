"""`millhand-trainer publish`: signs a bundle, and puts it into a registry."""

import argparse
from pathlib import Path

from models.bundle.manifest import Manifest
from serving.publishing import repository
from serving.publishing.releases import read_release
from trainer.bundle.withheld_report import without_report
from trainer.commands.registry import (
    keys_of,
    note_first,
    note_keys,
    note_missing,
    signing_arguments,
    validity_of,
)
from trainer.console import Console
from trainer.errors import WorseThanConstantError
from trainer.evaluation.baseline import to_confirm

_ACCEPT = "--accept-worse-than-constant"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add = parser.add_argument
    add("bundle", type=Path, help="the bundle to publish")
    add("--registry", type=Path, required=True, help="folder of the registry")
    add("--floor-seq", type=int, help="lowest seq of the stream that gateways may still run")
    withheld = "publish the bundle without its report, which shows the training data"
    add("--without-report", action="store_true", help=withheld)
    worse = "publish without asking, although the metrics say that a trivial answer is as good"
    add(_ACCEPT, action="store_true", help=worse)
    signing_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Publish the bundle, and print its release."""
    console, keys = Console(), keys_of(options)
    bundle = read_release(options.bundle)
    _confirm(bundle.manifest, console, accepted=options.accept_worse_than_constant)
    if options.without_report:
        bundle = without_report(bundle)
    note_first(keys, console)
    release = repository.publish(
        options.registry,
        bundle,
        keys,
        floor_seq=options.floor_seq,
        validity=validity_of(options),
    )
    note_keys(keys, console)
    said = f"{release.stream}#{release.seq}, {release.length} bytes, sha256 {release.sha256}"
    if release.missing:
        console.print(f"signed {said}")
        note_missing(release.missing, options.registry, console)
    else:
        console.print(f"published {said}")
    return 0


def _confirm(manifest: Manifest, console: Console, *, accepted: bool) -> None:
    """Ask whether a model that is no better than a trivial answer is to be published."""
    found = to_confirm(manifest)
    for sentence in found:
        console.note(f"{manifest.stream}#{manifest.seq} is no better than trivial: {sentence}")
    if found and not accepted and not console.asks("Publish it all the same?", otherwise=_ACCEPT):
        raise WorseThanConstantError(
            f"{manifest.stream}#{manifest.seq} is no better than a trivial answer by its own"
            " metrics; it was not published"
        )
