"""`millhand-trainer inspect`: shows what is in a bundle, and verifies it."""

import argparse
import json
from pathlib import Path

from models.bundle.manifest import Lineage, WindowSpec, utc
from models.bundle.package import MAX_BUNDLE_BYTES, Bundle, read_bundle
from models.errors import BundleError
from serving.session import Session
from trainer.console import Console


def inspect(path: Path) -> tuple[Bundle, float]:
    """Read a bundle, verify its digests, and replay its golden vectors as a gateway does.

    Args:
        path: path of the bundle.

    Returns:
        The bundle, and the largest absolute error of its graph on the golden vectors.

    Raises:
        BundleError: the bundle is damaged, see `models.bundle.package.read_bundle`; or its graph
            does not fit its manifest or its golden vectors, see `serving.session.Session`.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if size > MAX_BUNDLE_BYTES:
        raise BundleError(f"{path}: has {size} bytes, allowed are {MAX_BUNDLE_BYTES}")
    bundle = read_bundle(path.read_bytes())
    return bundle, Session(bundle).replay_golden(bundle.golden)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    parser.add_argument("bundle", type=Path, help="the bundle to verify")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Verify the bundle, and print its manifest and members."""
    bundle, worst = inspect(options.bundle)
    document = {
        "sha256": bundle.sha256,
        "bytes": len(bundle.content),
        "golden_worst_error": worst,
        "manifest": bundle.manifest.model_dump(mode="json"),
    }
    console = Console()
    if options.json:
        console.print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        _show(bundle, worst, console)
    return 0


def _show(bundle: Bundle, worst: float, console: Console) -> None:
    manifest = bundle.manifest
    console.table(f"{manifest.name} {manifest.version}", _summary(bundle, worst))
    signals = [
        [
            channel.name,
            channel.unit,
            "" if channel.valid_range is None else "{:g} to {:g}".format(*channel.valid_range),
            channel.missing,
            "" if channel.max_age_ms is None else f"{channel.max_age_ms} ms",
        ]
        for channel in manifest.channels
    ]
    console.grid("Signals", ["name", "unit", "range", "missing", "max age"], signals)
    members = [[file.name, str(file.size), file.sha256] for file in manifest.files]
    console.grid("Members", ["name", "bytes", "sha256"], members)


def _summary(bundle: Bundle, worst: float) -> dict[str, str]:
    manifest = bundle.manifest
    window, metrics = manifest.window, manifest.metrics
    return {
        "stream": f"{manifest.stream} #{manifest.seq}",
        "created": utc(manifest.created),
        "task": manifest.task,
        "classes": ", ".join(manifest.outputs[0].classes) or "none",
        "outputs": ", ".join(output.name for output in manifest.outputs),
        "window": f"{window.length} samples, hop {window.hop}, {_period(window)}",
        "split": metrics.split,
        "test windows": str(metrics.test_rows),
        **{name: metrics.formatted(name) for name in metrics.values},
        "golden vectors": f"{manifest.golden.count} answered, worst error {worst:.1e}",
        **_maker(manifest.lineage),
        "sha256": f"{bundle.sha256} ({len(bundle.content)} bytes, members verified)",
    }


def _maker(lineage: Lineage) -> dict[str, str]:
    if lineage.origin:
        return {"packed by": f"millhand {lineage.code_version}", "origin": lineage.origin}
    return {"trained by": f"millhand {lineage.code_version}, seed {lineage.seed}"}


def _period(window: WindowSpec) -> str:
    if window.sample_period_ms is None:
        return "no time axis"
    return f"a sample every {window.sample_period_ms} ms"
