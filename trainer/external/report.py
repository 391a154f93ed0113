"""The report of a graph that was made elsewhere: what was tested, and what nobody here knows."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from models.bundle.manifest import Manifest
from trainer.report.markup import items, pairs, paragraph, table
from trainer.report.page import MEANINGS, notice, page
from trainer.report.sections.contract import channels, outputs

_WARNING = (
    "This model was not trained by millhand. Its golden vectors are the graph's own answers: they "
    "prove that it answers on a gateway as it did here, and not that it is right."
)


@dataclass(frozen=True, slots=True)
class CheckSummary:
    """What the manifest does not say.

    Attributes:
        probes: windows within the ranges that were answered with numbers.
        rows: recorded rows that the golden vectors are from; 0 if they are made up.
        notes: what a reader should know.
        changes: how the graph was fitted to the contract.
    """

    probes: int
    rows: int
    notes: tuple[str, ...]
    changes: Mapping[str, str]


def render(manifest: Manifest, summary: CheckSummary) -> bytes:
    """The page as UTF-8; the same for the same manifest and findings."""
    sections = {
        "What it answers": outputs(manifest),
        "How good it is": _figures(manifest),
        "What it reads": channels(manifest.channels),
        "Where it is from": _origin(manifest, summary),
        "Checks": _checks(manifest, summary),
    }
    return page(manifest, notice("Not proven here", paragraph(_WARNING)), sections)


def _figures(manifest: Manifest) -> Markup:
    metrics = manifest.metrics
    said = paragraph(f"{metrics.split}.")
    if not metrics.values:
        return said
    rows = ((name, f"{value:g}", MEANINGS.get(name, "")) for name, value in metrics.values.items())
    counted = paragraph(f"Test rows, as claimed: {metrics.test_rows}.")
    return said + counted + table(("claimed figure", "value", "meaning"), rows)


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
    return pairs("what", "which", facts) + pairs("ours", "the graph's", summary.changes) + files


def _checks(manifest: Manifest, summary: CheckSummary) -> Markup:
    golden, budget = manifest.golden, manifest.budget
    source = (
        f"{summary.rows} recorded rows" if summary.rows else "windows made up within the ranges"
    )
    checks = {
        "answers are numbers": f"in {summary.probes} windows within the ranges, and at their edges",
        "asked twice": "the same answers",
        "alone and among others": "the same answers, in batches of 1, 7 and all",
        "golden vectors": f"{golden.count}, from {source}, range edges and missing values among "
        f"them; the graph's own answers, allowed {golden.atol:g} + {golden.rtol:g} of the answer",
        "budget": f"kept: at most {budget.latency_ms_p99:g} ms a window on one thread (p99), "
        f"{budget.model_bytes} bytes",
    }
    return pairs("check", "result", checks) + items(summary.notes)
