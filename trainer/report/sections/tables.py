"""The sections of words and tables: metrics, model, data, leaderboard, checks, parity and cost."""

from itertools import compress

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from trainer.checks.finding import Finding
from trainer.checks.suite import CHECKS
from trainer.estimators.composition import composition
from trainer.report.canvas import BLACK, BLUE, picture
from trainer.report.markup import Cell, heading, items, joined, metric, pairs, paragraph, table
from trainer.report.page import MEANINGS
from trainer.report.reported import Reported
from trainer.report.sections.contract import channels, outputs
from trainer.search.leaderboard import TIMED

_GOLDEN = {
    "made-up": "made up from ranges and moments, none of them recorded",
    "real": "held-out windows of the recorded data, which travel to every gateway",
}


def metrics(subject: Reported) -> Markup:
    """A table of the metrics in the manifest."""
    known = subject.manifest.metrics
    beside = known.baselines
    rows = (
        (
            name,
            metric(name, known.formatted(name)),
            *(f"{own[name]:.4g}" if name in own else "" for own in beside.values()),
            MEANINGS.get(name, ""),
        )
        for name in known.values
    )
    drawn = f" In brackets: {subject.drawn}." if known.intervals else f" {_sentence(subject.drawn)}"
    trivial = (
        f" Beside them what trivial answers to the same windows have: {', '.join(beside)}."
        if beside
        else ""
    )
    decision = subject.trained.model.decision
    threshold = "" if decision is None else f" The decision threshold is {decision}."
    said = paragraph(f"On {known.test_rows} test windows.{drawn}{trivial}{threshold}")
    return said + table(("metric", "value", *beside, "meaning"), rows)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def model(subject: Reported) -> Markup:
    """What the model is made of: estimator, hyper-parameters, features and threshold."""
    trained = subject.trained
    return pairs("part", "what it is", composition(trained.model, trained.recipe))


def data(subject: Reported) -> Markup:
    """What the model was made from, and what was cleaned."""
    recording, window = subject.trained.recording, subject.manifest.window
    period = window.sample_period_ms
    size = {
        "rows": str(len(recording)),
        "assets": str(len(recording.assets)),
        "period": _period(subject),
        "samples in a window": str(window.length),
        "samples from one window to the next": str(window.hop),
        "time between samples": "no time axis"
        if period is None
        else subject.clock.span(period * 1e6),
        "how long the plant remembers": _memory(subject),
    }
    notes = subject.trained.notes
    noted = items(notes) or paragraph("Nothing was cleaned or left out.")
    digests = {
        name: Markup("<code>{}</code>").format(digest)
        for name, digest in sorted(recording.digests.items())
    }
    return joined(
        (
            pairs("property", "value", size),
            heading("Cleaned, left out, and other remarks"),
            noted,
            heading("Files"),
            pairs("file", "sha256", digests),
        )
    )


def _period(subject: Reported) -> str:
    recording = subject.trained.recording
    if not recording.timed:
        return "no time axis"
    ends = int(recording.times_ns.min()), int(recording.times_ns.max())
    return " to ".join(map(subject.clock.moment, ends))


def _memory(subject: Reported) -> str:
    correlation = subject.correlation
    if correlation is None:
        return "not known"
    return correlation.said(lambda seconds: subject.clock.span(seconds * 1e9))


def contract(subject: Reported) -> Markup:
    """The outputs and the inputs of the model."""
    seen = subject.trained.recipe.features.signals
    note = f"The model uses {', '.join(seen)}; the others are watched for drift." if seen else ""
    return joined(
        (
            heading("Answers"),
            outputs(subject.manifest),
            heading("Signals"),
            paragraph(note) if note else Markup(""),
            channels(subject.manifest.channels),
        )
    )


def leaderboard(subject: Reported) -> Markup:
    """The best model of each family, if there was a search."""
    board = subject.trained.leaderboard
    if board is None:
        return Markup("")
    on = " on its features" if board.origin == "default" else ""
    text = paragraph(
        f"{board.tried} candidates were cross-validated on the training part and ranked by "
        f"{board.metric}; the table has the best of each family{on}, the preferred one first. The "
        "test part was not used."
    )
    header = board.header(board.metric)
    shown = [not (subject.reproducible and name in TIMED) for name in header]
    rows = table(compress(header, shown), (compress(row, shown) for row in board.rows()))
    if board.lengths:
        about = "Lengths of windows, on the same moments, with the candidate taken for each."
        lengths = table(board.lengths_header(), (one.row() for one in board.lengths))
        rows = joined((rows, paragraph(about), lengths))
    if len(board.entries) == 1:
        return joined((text, rows))
    at = np.arange(len(board.entries))
    mean = np.array([entry.mean for entry in board.entries])
    error = np.array([entry.error for entry in board.entries])

    def draw(into: Figure) -> None:
        axes = into.subplots()
        axes.hlines(at, mean - error, mean + error, color=BLACK, lw=1.5)
        axes.plot(mean, at, "o", color=BLUE, ms=6)
        axes.set_yticks(at, [f"{entry.family} ({entry.features})" for entry in board.entries])
        axes.invert_yaxis()
        axes.margins(y=0.15)
        axes.set_xlabel(board.metric)

    said = (
        "The mean of the held-out folds (point) and one standard error to either side (line), in "
        "the order of the table. Candidates whose lines overlap hardly differ."
    )
    size = (9.0, 0.8 + 0.25 * max(2, len(board.entries)))
    return joined((text, rows, picture("Leaderboard", said, draw, size=size)))


def checks(subject: Reported) -> Markup:
    """All checks before the training, also those that found nothing."""
    found = subject.trained.findings
    rows = ((one.name, _result(one), one.evidence, one.remedy) for one in found)
    named = {one.name for one in found}
    silent = [name for name in CHECKS if name not in named]
    said = paragraph(f"Nothing was found by {', '.join(silent)}.") if silent else Markup("")
    return (table(("check", "result", "found", "what to do"), rows) if found else Markup("")) + said


def _result(finding: Finding) -> str:
    if finding.overridden:
        return "overridden"
    return "remark on the test data" if finding.about == "test" else finding.severity


def proof(subject: Reported) -> Markup:
    """The parity check of graph and estimator, and how the model was made."""
    manifest, parity = subject.manifest, subject.trained.parity
    golden, lineage = manifest.golden, manifest.lineage
    errors = ", ".join(f"{name} {worst:.1e}" for name, worst in parity.worst.items())
    said: dict[str, Cell] = {
        "graph equals estimator": f"on all {parity.rows} held-out windows; worst error {errors}; "
        f"allowed {golden.atol:g} + {golden.rtol:g} of the answer",
        "golden vectors": f"{golden.count} windows, range edges and missing values among them; "
        + _GOLDEN[subject.trained.recipe.bundle.golden],
        "made by": f"millhand {lineage.code_version}, seed {lineage.seed}; "
        + ", ".join(f"{name} {version}" for name, version in lineage.packages.items()),
    }
    if manifest.optimised is not None:
        said["in eight bits"] = f"{manifest.optimised}; the errors above are those of eight bits"
    if manifest.outputs[0].classes:
        said["undecided"] = (
            f"{parity.undecided} held-out windows: two classes are within the tolerance"
        )
    return pairs("check", "result", said)


def cost(subject: Reported) -> Markup:
    """Time and bytes that serving takes."""
    budget, trained = subject.manifest.budget, subject.trained
    batch = trained.recipe.budget.batch
    if subject.reproducible:
        measured = memory = (
            "left out because SOURCE_DATE_EPOCH is set: the report must be reproducible, and "
            "what is measured is not"
        )
    else:
        latency = trained.latency
        measured = f"{latency.p50_ms:.3f} ms median, {latency.p99_ms:.3f} ms p99"
        memory = f"{trained.memory_bytes / 1e6:.0f} MB, with a tenth on top"
    rows = {
        "one window on one thread by onnxruntime, measured where the model was trained": measured,
        f"memory to load it and to answer {batch} windows at a time, measured likewise": memory,
        "allowed": f"{budget.latency_ms_p99:g} ms p99, {budget.model_bytes} bytes of graph; kept",
        **{name: f"{size} bytes" for name, size in subject.sizes.items()},
        "bundle": f"{sum(subject.sizes.values())} bytes before compression, and this page",
    }
    return pairs("cost", "value", rows)
