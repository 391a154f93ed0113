"""`millhand-trainer inspect`: shows what is in a bundle, and verifies it."""

import argparse
import json
import threading
from pathlib import Path

from models.bundle.budget import Budget
from models.bundle.correlation import Correlation
from models.bundle.manifest import Lineage, WindowSpec, utc
from models.bundle.package import MAX_BUNDLE_BYTES, StoredBundle, load_bundle
from models.bundle.reference import read_document
from models.errors import BundleError
from serving.proof.request import Evidence, ProofRequest
from serving.proof.trial import examine
from serving.proof.wording import megabytes
from trainer.bundle.budget import TRIAL_BYTES, TRIAL_SECONDS
from trainer.console import Console

BATCH = 256
"""Windows that a gateway answers at a time where its `limits.max_batch` is not set."""


def inspect(
    path: Path,
    *,
    batch: int = BATCH,
    seconds: float = TRIAL_SECONDS,
    memory_bytes: int = TRIAL_BYTES,
) -> tuple[StoredBundle, Evidence]:
    """Read a bundle, verify its digests, and prove it in a child process as a gateway does.

    Args:
        path: path of the bundle.
        batch: number of windows in the largest batch.
        seconds: seconds of one processor core that the proof may take.
        memory_bytes: bytes of memory that it may take.

    Returns:
        The bundle, and what was measured.

    Raises:
        BundleError: the bundle is damaged, see `models.bundle.package.load_bundle`; or it did not
            pass its proof, see `serving.proof.refusals`.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if size > MAX_BUNDLE_BYTES:
        raise BundleError(f"{path}: has {size} bytes, allowed are {MAX_BUNDLE_BYTES}")
    bundle = load_bundle(path)
    request = ProofRequest(
        path=path.absolute(), batch=batch, seconds=seconds, memory_bytes=memory_bytes
    )
    return bundle, examine(request, threading.Event())


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add = parser.add_argument
    add("bundle", type=Path, help="the bundle to verify")
    add("--json", action="store_true", help="print one JSON object")
    add(
        "--batch",
        type=_positive,
        default=BATCH,
        metavar="N",
        help=f"windows that a gateway answers at a time, its limits.max_batch (default {BATCH})",
    )
    add(
        "--memory-mb",
        type=_positive,
        default=TRIAL_BYTES // 10**6,
        metavar="MB",
        help="memory that the model may take, as proof.memory_bytes of a gateway",
    )
    add(
        "--seconds",
        type=_positive,
        default=int(TRIAL_SECONDS),
        metavar="S",
        help="time of a processor core that it may take, as proof.seconds of a gateway",
    )


def run(options: argparse.Namespace) -> int:
    """Verify the bundle, and print its manifest, what was measured, and its members."""
    bundle, evidence = inspect(
        options.bundle,
        batch=options.batch,
        seconds=options.seconds,
        memory_bytes=options.memory_mb * 10**6,
    )
    correlation = _correlation(bundle)
    document = {
        "sha256": bundle.sha256,
        "bytes": bundle.size,
        "golden_worst_error": evidence.golden_error,
        "proof": evidence.to_fields(),
        "correlation": None if correlation is None else correlation.model_dump(mode="json"),
        "manifest": bundle.manifest.model_dump(mode="json"),
    }
    console = Console()
    if options.json:
        console.print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        _show(bundle, evidence, console)
    return 0


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': a whole number from 1 on is needed")
    return int(text)


def _show(bundle: StoredBundle, evidence: Evidence, console: Console) -> None:
    manifest = bundle.manifest
    console.table(f"{manifest.name} {manifest.version}", _summary(bundle, evidence))
    signals = [
        [
            channel.name,
            channel.unit,
            "" if channel.valid_range is None else "{:g} to {:g}".format(*channel.valid_range),
            f"{channel.offset:.17g}" if channel.offset else "",
            channel.missing,
            "" if channel.max_age_ms is None else f"{channel.max_age_ms} ms",
        ]
        for channel in manifest.channels
    ]
    console.grid("Signals", ["name", "unit", "range", "offset", "missing", "max age"], signals)
    members = [[file.name, str(file.size), file.sha256] for file in manifest.files]
    console.grid("Members", ["name", "bytes", "sha256"], members)


def _summary(bundle: StoredBundle, evidence: Evidence) -> dict[str, str]:
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
        "plant remembers": _remembered(bundle),
        **{name: metrics.formatted(name) for name in metrics.values},
        "golden vectors": f"{manifest.golden.count} answered, worst error "
        f"{evidence.golden_error:.1e}",
        "latency here": f"{evidence.latency_p50_ms:.3g} ms a window, p99 "
        f"{evidence.latency_p99_ms:.3g} ms; {evidence.batch_p50_ms:.3g} ms for {evidence.batch}",
        "memory here": f"{megabytes(evidence.memory_bytes)} for {evidence.batch} windows at a time",
        "memory stated": _stated(manifest.budget),
        **_maker(manifest.lineage),
        "sha256": f"{bundle.sha256} ({bundle.size} bytes, members verified)",
    }


def _correlation(bundle: StoredBundle) -> Correlation | None:
    document = read_document(bundle.reference, bundle.manifest.channels)
    return None if document is None else document.correlation


def _remembered(bundle: StoredBundle) -> str:
    correlation = _correlation(bundle)
    return "not known" if correlation is None else correlation.said()


def _stated(budget: Budget) -> str:
    if budget.memory_bytes is None:
        return "not in the manifest"
    return f"{megabytes(budget.memory_bytes)} for {budget.memory_batch} windows at a time"


def _maker(lineage: Lineage) -> dict[str, str]:
    if lineage.origin:
        return {"packed by": f"millhand {lineage.code_version}", "origin": lineage.origin}
    return {"trained by": f"millhand {lineage.code_version}, seed {lineage.seed}"}


def _period(window: WindowSpec) -> str:
    if window.sample_period_ms is None:
        return "no time axis"
    return f"a sample every {window.sample_period_ms} ms"
