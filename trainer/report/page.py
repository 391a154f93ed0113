"""A single HTML page that opens from disk, without scripts and without requests to anywhere.

Its content security policy forbids scripts, fonts and pictures from elsewhere, so that not even the
name of a signal can bring one in.
"""

from collections.abc import Mapping
from importlib.resources import files

from markupsafe import Markup

from models.bundle.manifest import Manifest, utc
from trainer.report.markup import joined, paragraph

MAX_BYTES = 400_000
"""Size limit of a page; its tables and pictures are limited so that it is kept."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

MEANINGS = {
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "mae_at_last": "mean absolute error at the last known row of each run",
    "rmse_at_last": "root mean squared error at the last known row of each run",
    "mae_by_run": "mean over runs of each run's mean absolute error",
    "bias": "mean of answer minus truth",
    "skill": "0 for a trivial answer, 1 for the truth: over the mean by squared error, over "
    "constant classes and alarms by Peirce's score",
    "skill_over_last_value": "likewise over the last value of the target before the window",
    "skill_over_line": "likewise over a plain line through the signals",
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


def page(manifest: Manifest, lead: Markup, sections: Mapping[str, Markup]) -> bytes:
    """A page about a bundle, in UTF-8.

    Args:
        manifest: the manifest, for the title.
        lead: the content above all sections.
        sections: content of each section by its heading; sections without content are left out.
    """
    title = f"{manifest.name} {manifest.version}"
    return titled(title, _identity(manifest) + lead, sections)


def titled(title: str, lead: Markup, sections: Mapping[str, Markup]) -> bytes:
    """A page about anything else; arguments as for `page`, with the title."""
    style = files("trainer.report").joinpath("style.css").read_text("utf-8")
    head = Markup(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="{}"><title>{}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<style>{}</style></head>"
    ).format(_POLICY, title, Markup(style))  # noqa: S704  a file of this package
    content = joined(
        Markup("<section><h2>{}</h2>{}</section>").format(heading, section)
        for heading, section in sections.items()
        if section
    )
    body = Markup("<body><main><h1>{}</h1>{}{}</main></body></html>\n").format(title, lead, content)
    return (head + body).encode()


def notice(title: str, content: Markup) -> Markup:
    """A conspicuous box of warnings."""
    return Markup('<div class="notice warning" role="note"><strong>{}</strong>{}</div>').format(
        title, content
    )


def remark(title: str, content: Markup) -> Markup:
    """A box of remarks that are no warnings."""
    return Markup('<div class="notice remark" role="note"><strong>{}</strong>{}</div>').format(
        title, content
    )


def all_clear(text: str) -> Markup:
    """A box that says that there are no warnings."""
    return Markup('<div class="notice">{}</div>').format(paragraph(text))


def _identity(manifest: Manifest) -> Markup:
    made = utc(manifest.created)
    return paragraph(f"{manifest.stream} #{manifest.seq}, {manifest.task}, made {made}")
