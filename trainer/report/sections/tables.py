"""The sections that are words and tables: data, figures, leaderboard, checks, proof and cost."""

from itertools import compress

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from trainer.checks.suite import CHECKS
from trainer.report.canvas import BLACK, BLUE, picture
from trainer.report.markup import Cell, figure, heading, items, joined, pairs, paragraph, table
from trainer.report.page import MEANINGS
from trainer.report.reported import Reported
from trainer.report.sections.contract import channels, outputs
from trainer.search.leaderboard import TIMED


def figures(subject: Reported) -> Markup:
    """Every figure of the manifest."""
    metrics = subject.manifest.metrics
    rows = (
        (name, figure(name, metrics.formatted(name)), MEANINGS.get(name, ""))
        for name in metrics.values
    )
    said = paragraph(
        f"On {metrics.test_rows} test windows. In brackets {subject.drawn}."
        if metrics.intervals
        else f"On {metrics.test_rows} test windows."
    )
    return said + table(("figure", "value", "meaning"), rows)


def data(subject: Reported) -> Markup:
    """What it was made from, and what was cleaned."""
    recording, window = subject.trained.recording, subject.manifest.window
    period = window.sample_period_ms
    size = {
        "rows": str(len(recording)),
        "assets": str(len(recording.assets)),
        "period": _period(subject),
        "samples in a window": str(window.length),
        "samples from one window to the next": str(window.hop),
        "time between samples": "no time axis" if period is None else f"{period / 1000:g} s",
    }
    notes = subject.trained.notes
    noted = items(notes) or paragraph("Nothing had to be cleaned or left out.")
    digests = {
        name: Markup("<code>{}</code>").format(digest)
        for name, digest in subject.manifest.lineage.data.items()
    }
    return joined(
        (
            pairs("what", "how much", size),
            heading("Cleaned, left out, and other notes"),
            noted,
            heading("Files"),
            pairs("file", "sha256", digests),
        )
    )


def _period(subject: Reported) -> str:
    recording = subject.trained.recording
    if not recording.timed:
        return "no time axis"
    ends = np.array([recording.times_ns.min(), recording.times_ns.max()])
    first, last = ends.astype("datetime64[ns]").astype("datetime64[s]")
    return f"{first}Z to {last}Z"


def contract(subject: Reported) -> Markup:
    """What goes in and what comes out."""
    seen = subject.trained.recipe.features.signals
    told = f"The model sees {', '.join(seen)}; the others are watched for drift." if seen else ""
    return joined(
        (
            heading("Answers"),
            outputs(subject.manifest),
            heading("Signals"),
            paragraph(told) if told else Markup(""),
            channels(subject.manifest.channels),
        )
    )


def leader_board(subject: Reported) -> Markup:
    """The best of each family, where there was a search."""
    leaderboard = subject.trained.leaderboard
    if leaderboard is None:
        return Markup("")
    text = paragraph(
        f"{leaderboard.tried} candidates were tried on folds of the training part, by "
        f"{leaderboard.metric}; "
        "the best of each family is listed, the one to be taken first. The test part had no say."
    )
    header = leaderboard.header(leaderboard.metric)
    shown = [not (subject.reproducible and name in TIMED) for name in header]
    rows = table(compress(header, shown), (compress(row, shown) for row in leaderboard.rows()))
    if len(leaderboard.entries) == 1:
        return joined((text, rows))
    at = np.arange(len(leaderboard.entries))
    mean = np.array([entry.mean for entry in leaderboard.entries])
    error = np.array([entry.error for entry in leaderboard.entries])

    def draw(into: Figure) -> None:
        axes = into.subplots()
        axes.hlines(at, mean - error, mean + error, color=BLACK, lw=1.5)
        axes.plot(mean, at, "o", color=BLUE, ms=6)
        axes.set_yticks(at, [entry.family for entry in leaderboard.entries])
        axes.invert_yaxis()
        axes.margins(y=0.15)
        axes.set_xlabel(leaderboard.metric)

    said = (
        "The mean of the held-out folds (point) and one standard error to either side (line); the "
        "first of the table is on top. Families whose lines overlap are hardly told apart."
    )
    size = (9.0, 0.8 + 0.25 * max(2, len(leaderboard.entries)))
    return joined((text, rows, picture("Leaderboard", said, draw, size=size)))


def checks(subject: Reported) -> Markup:
    """Every check before the training, also those that found nothing."""
    found = subject.trained.findings
    rows = (
        (one.name, "overridden" if one.overridden else one.severity, one.evidence, one.remedy)
        for one in found
    )
    named = {one.name for one in found}
    silent = [name for name in CHECKS if name not in named]
    said = paragraph(f"Nothing was found by {', '.join(silent)}.") if silent else Markup("")
    return (table(("check", "result", "found", "what to do"), rows) if found else Markup("")) + said


def proof(subject: Reported) -> Markup:
    """The graph is the estimator."""
    manifest, parity = subject.manifest, subject.trained.parity
    golden, lineage = manifest.golden, manifest.lineage
    errors = ", ".join(f"{name} {worst:.1e}" for name, worst in parity.worst.items())
    said: dict[str, Cell] = {
        "graph equals estimator": f"on all {parity.rows} held-out windows; worst error {errors}; "
        f"allowed {golden.atol:g} + {golden.rtol:g} of the answer",
        "golden vectors": f"{golden.count} windows, range edges and missing values among them",
        "made by": f"millhand {lineage.code_version}, seed {lineage.seed}; "
        + ", ".join(f"{name} {version}" for name, version in lineage.packages.items()),
    }
    if manifest.outputs[0].classes:
        said["too close to call"] = f"{parity.undecided} held-out windows, by that tolerance"
    return pairs("check", "result", said)


def cost(subject: Reported) -> Markup:
    """What serving takes: time and bytes."""
    budget, latency = subject.manifest.budget, subject.trained.latency
    if subject.reproducible:
        measured = (
            "left out for the sake of equal bytes: SOURCE_DATE_EPOCH is set, and a stopwatch never "
            "gives the same twice"
        )
    else:
        measured = f"{latency.p50_ms:.3f} ms median, {latency.p99_ms:.3f} ms p99"
    rows = {
        "one window on one thread, onnxruntime, as measured where it was trained": measured,
        "allowed": f"{budget.latency_ms_p99:g} ms p99, {budget.model_bytes} bytes of graph; kept",
        **{name: f"{size} bytes" for name, size in subject.sizes.items()},
        "bundle": f"{sum(subject.sizes.values())} bytes before compression, and this page",
    }
    return pairs("what", "how much", rows)
