"""The report of an external model: what was checked, and what cannot be checked here."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from models.bundle.manifest import Manifest
from trainer.external.shares import ClassShares
from trainer.report.markup import items, pairs, paragraph, table
from trainer.report.page import MEANINGS, notice, page
from trainer.report.sections.contract import channels, outputs

_WARNING = (
    "This model was not trained by millhand. Its golden vectors are the graph's own answers: they "
    "verify that it answers on a gateway as it did here, and not that the answers are right."
)


@dataclass(frozen=True, slots=True)
class CheckSummary:
    """What the report needs beside the manifest.

    Attributes:
        probes: number of windows within the ranges that were answered with finite numbers.
        rows: number of recorded rows behind the golden vectors; 0 if these are made up.
        answered: how often each class is answered.
        notes: notes for the reader.
        changes: name of the graph's own tensor, by the output of the bundle.
    """

    probes: int
    rows: int
    answered: ClassShares
    notes: tuple[str, ...]
    changes: Mapping[str, str]


def render(manifest: Manifest, summary: CheckSummary) -> bytes:
    """The page as UTF-8; the same for the same manifest and summary."""
    sections = {
        "What it answers": outputs(manifest),
        "How good it is": _metrics(manifest),
        "What it reads": channels(manifest.channels),
        "Where it is from": _origin(manifest, summary),
        "Checks": _checks(manifest, summary),
    }
    return page(manifest, notice("Not verified here", paragraph(_WARNING)), sections)


def _metrics(manifest: Manifest) -> Markup:
    metrics = manifest.metrics
    said = paragraph(f"{metrics.split}.")
    if not metrics.values:
        return said
    rows = ((name, f"{value:g}", MEANINGS.get(name, "")) for name, value in metrics.values.items())
    counted = paragraph(f"Test rows, as claimed: {metrics.test_rows}.")
    return said + counted + table(("claimed metric", "value", "meaning"), rows)


def _origin(manifest: Manifest, summary: CheckSummary) -> Markup:
    window = manifest.window
    facts = {
        "origin": manifest.lineage.origin,
        "samples in a window": str(window.length),
        "samples from one window to the next": str(window.hop),
        "packed by": f"millhand {manifest.lineage.code_version}; "
        + ", ".join(f"{name} {version}" for name, version in manifest.lineage.packages.items()),
    }
    files = pairs("file", "sha256", manifest.lineage.data)
    changes = pairs("output of the bundle", "output of the graph", summary.changes)
    return pairs("fact", "value", facts) + changes + files


def _checks(manifest: Manifest, summary: CheckSummary) -> Markup:
    golden, budget = manifest.golden, manifest.budget
    source = (
        f"{summary.rows} recorded rows" if summary.rows else "windows made up within the ranges"
    )
    checks = {
        "answers are finite": f"in {summary.probes} windows within the ranges, and at their edges",
        "two runs": "the same answers",
        "alone and in a batch": "the same answers, in batches of 1, 7 and all",
        "golden vectors": f"{golden.count}, from {source}, range edges and missing values among "
        f"them; the graph's own answers, allowed {golden.atol:g} + {golden.rtol:g} of the answer",
        "budget": f"kept: at most {budget.latency_ms_p99:g} ms a window on one thread (p99), "
        f"{budget.model_bytes} bytes",
    }
    if summary.answered.shares:
        checks["classes answered"] = summary.answered.said
    return pairs("check", "result", checks) + items(summary.notes)
