"""The bundle's report: one page that opens from disk, without a script and without a network.

It says what was done and what came of it, the unflattering included, in words a plant can read. It
holds no figure that the manifest does not hold too, but for parity and remarks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from models.manifest import Channel, Manifest, utc
from trainer.checks.finding import Finding
from trainer.checks.suite import CHECKS
from trainer.graph.export import Parity

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1b1f24; background: #fff }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
         border-bottom: 1px solid #d8dee4; overflow-wrap: anywhere }
th { font-weight: 600 } .warning { background: #fff3cd; padding: .6rem 1rem }
code { font-size: .85em }
"""

MEANINGS = {
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "bias": "mean of answer minus truth",
    "r2": "share of the test part's variance explained; below 0 is worse than its mean",
    "accuracy": "share of right answers; high by itself where a class is rare",
    "macro_f1": "mean of each class's F1",
    "f1": "harmonic mean of precision and recall",
    "precision": "share of alarms that were right",
    "recall": "share of events that were found",
    "roc_auc": "chance that an event scores higher than a normal window",
    "average_precision": "area under precision over recall",
    "alarm_share": "share of windows with an alarm",
    "false_alarm_rate": "share of normal windows with an alarm",
    "missed_alarm_rate": "share of abnormal windows without one",
}


@dataclass(frozen=True, slots=True)
class Findings:
    """What the manifest does not say: size of the data, remarks on it, checks, and parity."""

    rows: int
    assets: int
    train_windows: int
    remarks: tuple[str, ...]
    checked: tuple[Finding, ...]
    drawn: str
    parity: Parity


def render(manifest: Manifest, findings: Findings) -> bytes:
    """The page as UTF-8; the same for the same manifest and findings."""
    sections = {
        "What it answers": outputs(manifest),
        "How good it is on data it never saw": _figures(manifest, findings),
        "What it reads": channels(manifest.channels),
        "Data": _data(manifest, findings),
        "Checks before the training": _checked(findings.checked),
        "Proof of the graph": _checks(manifest, findings),
    }
    return page(manifest, sections, warning=_warning(manifest))


def page(manifest: Manifest, sections: Mapping[str, str], *, warning: str = "") -> bytes:
    """A page about a bundle, as UTF-8.

    Args:
        manifest: for the title.
        sections: HTML by heading.
        warning: text that stands above all sections, if any.
    """
    title = f"{manifest.name} {manifest.version}"
    body = "".join(
        (
            f"<h1>{escape(title)}</h1>",
            _identity(manifest),
            f'<p class="warning">{escape(warning)}</p>' if warning else "",
            *(f"<h2>{escape(heading)}</h2>{content}" for heading, content in sections.items()),
        )
    )
    head = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
    )
    return f"{head}<body>{body}</body></html>\n".encode()


def _identity(manifest: Manifest) -> str:
    made = utc(manifest.created)
    return f"<p>{escape(manifest.stream)} #{manifest.seq}, {manifest.task}, made {made}</p>"


def _warning(manifest: Manifest) -> str:
    return manifest.metrics.split if "OPTIMISTIC" in manifest.metrics.split else ""


def outputs(manifest: Manifest) -> str:
    """What the model answers, as HTML."""
    return table(
        ("output", "meaning", "unit", "classes", "threshold"),
        (
            (
                output.name,
                output.meaning,
                output.unit,
                ", ".join(output.classes),
                "" if output.threshold is None else f"{output.threshold:.4g}",
            )
            for output in manifest.outputs
        ),
    )


def _figures(manifest: Manifest, findings: Findings) -> str:
    said = (
        f"<p>Split: {escape(manifest.metrics.split)}. Trained on {findings.train_windows} "
        f"windows, tested on {manifest.metrics.test_rows}. In brackets "
        f"{escape(findings.drawn)}.</p>"
    )
    rows = (
        (name, manifest.metrics.said(name), MEANINGS.get(name, ""))
        for name in manifest.metrics.values
    )
    return said + table(("figure", "value", "meaning"), rows)


def channels(read: Iterable[Channel]) -> str:
    """What the model reads, as HTML."""
    return table(
        ("signal", "unit", "range", "when missing", "held for"),
        (
            (
                channel.name,
                channel.unit,
                "" if channel.valid_range is None else "{:g} to {:g}".format(*channel.valid_range),
                "filled in" if channel.missing == "impute" else "no answer",
                "" if channel.max_age_ms is None else f"{channel.max_age_ms / 1000:g} s",
            )
            for channel in read
        ),
    )


def _data(manifest: Manifest, findings: Findings) -> str:
    window = manifest.window
    period = window.sample_period_ms
    size = {
        "rows": str(findings.rows),
        "assets": str(findings.assets),
        "samples in a window": str(window.length),
        "samples from one window to the next": str(window.hop),
        "time between samples": "no time axis" if period is None else f"{period / 1000:g} s",
    }
    items = "".join(f"<li>{escape(remark)}</li>" for remark in findings.remarks)
    noted = f"<ul>{items}</ul>" if items else "<p>Nothing had to be cleaned or left out.</p>"
    files = pairs("file", "sha256", manifest.lineage.data)
    return pairs("what", "how much", size) + noted + files


def _checked(found: tuple[Finding, ...]) -> str:
    rows: list[tuple[str, str, str, str]] = [
        (one.name, "overridden" if one.overridden else one.severity, one.evidence, one.remedy)
        for one in found
    ]
    named = {one.name for one in found}
    rows += [(name, "nothing found", "", "") for name in CHECKS if name not in named]
    return table(("check", "result", "found", "what to do"), rows)


def _checks(manifest: Manifest, findings: Findings) -> str:
    parity, golden, budget = findings.parity, manifest.golden, manifest.budget
    errors = ", ".join(f"{name} {worst:.1e}" for name, worst in parity.worst.items())
    checks = {
        "graph equals estimator": f"on all {parity.rows} held-out windows; worst error {errors}; "
        f"allowed {golden.atol:g} + {golden.rtol:g} of the answer",
        "golden vectors": f"{golden.count} windows, range edges and missing values among them",
        "budget": f"kept: at most {budget.latency_ms_p99:g} ms a window on one thread (p99), "
        f"{budget.model_bytes} bytes",
        "made by": f"millhand {manifest.lineage.code_version}, seed {manifest.lineage.seed}; "
        + ", ".join(f"{name} {version}" for name, version in manifest.lineage.packages.items()),
    }
    if manifest.outputs[0].classes:
        checks["too close to call"] = f"{parity.undecided} held-out windows, by that tolerance"
    return pairs("check", "result", checks)


def pairs(name: str, value: str, rows: Mapping[str, str]) -> str:
    """A table of names and values, as HTML."""
    return table((name, value), rows.items())


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table, as HTML; cells are text."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = ("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"
