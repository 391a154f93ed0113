"""One page that opens from disk: no script, no font, no picture and no request from elsewhere.

Its content security policy forbids all of them, so a signal's name cannot bring one in either.
"""

from collections.abc import Mapping

from markupsafe import Markup

from models.bundle.manifest import Manifest, utc
from trainer.report.markup import joined, paragraph

MAX_BYTES = 400_000
"""What a page is to stay below; what goes into it is capped so that it does."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = Markup("""
:root { color-scheme: light }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1b1f24; background: #fff }
h1 { font-size: 1.6rem; line-height: 1.2; margin-bottom: 0; overflow-wrap: anywhere }
h2 { font-size: 1.25rem; margin-top: 2.5rem; border-bottom: 2px solid #1b1f24 }
h3 { font-size: 1rem; margin-bottom: .3rem }
p, li { overflow-wrap: anywhere; max-width: 48rem }
table { border-collapse: collapse; width: 100%; font-size: .92rem }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
         border-bottom: 1px solid #d8dee4; overflow-wrap: break-word; min-width: 4rem }
thead th { border-bottom: 2px solid #57606a } tbody th { font-weight: 500 }
.scroll { overflow-x: auto }
.notice { border: 2px solid #1a7f37; border-left-width: 10px; background: #eefbf1;
          padding: .4rem 1rem; margin: 1rem 0 }
.warning { border-color: #b42318; background: #fff1ee }
.warning > strong { color: #8f1d13; font-size: 1.1rem }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; padding: 0; margin: 1rem 0; list-style: none }
.cards li { border: 1px solid #8c959f; border-radius: 4px; padding: .5rem 1rem }
.cards strong { display: block; font-size: 1.35rem }
figure { margin: 1rem 0; break-inside: avoid }
figcaption { font-size: .88rem; color: #424a53; max-width: 48rem }
svg { display: block; width: 100%; height: auto } svg * { stroke-linejoin: round }
svg text { font-family: "DejaVu Sans", Verdana, sans-serif }
.wide svg { min-width: 36rem }
[data-figure] { white-space: nowrap }
.row { display: flex; flex-wrap: wrap; gap: 0 1.5rem }
.row figure { flex: 1 1 20rem; max-width: 29rem; min-width: 0 }
.matrix td { text-align: right; padding: .3rem .6rem; border: 1px solid #fff }
code { font-size: .85em; overflow-wrap: anywhere }
summary { cursor: pointer }
@media print {
  body { max-width: none; margin: 0; font-size: 11px } .scroll { overflow: visible }
  .wide svg { min-width: 0 } h2, h3 { break-after: avoid } tr { break-inside: avoid }
  details::details-content { content-visibility: visible; block-size: auto }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact }
}
""")

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


def page(manifest: Manifest, lead: Markup, sections: Mapping[str, Markup]) -> bytes:
    """A page about a bundle, as UTF-8.

    Args:
        manifest: for the title.
        lead: what stands above all sections.
        sections: content by heading; one without content is left out.
    """
    title = f"{manifest.name} {manifest.version}"
    head = Markup(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="{}"><title>{}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<style>{}</style></head>"
    ).format(_POLICY, title, _STYLE)
    content = joined(
        Markup("<section><h2>{}</h2>{}</section>").format(heading, section)
        for heading, section in sections.items()
        if section
    )
    body = Markup("<body><main><h1>{}</h1>{}{}{}</main></body></html>\n").format(
        title, _identity(manifest), lead, content
    )
    return (head + body).encode()


def notice(title: str, content: Markup) -> Markup:
    """A box that nobody overlooks: something is wrong with what follows."""
    return Markup('<div class="notice warning" role="note"><strong>{}</strong>{}</div>').format(
        title, content
    )


def all_clear(text: str) -> Markup:
    """A box that says that nothing is."""
    return Markup('<div class="notice">{}</div>').format(paragraph(text))


def _identity(manifest: Manifest) -> Markup:
    made = utc(manifest.created)
    return paragraph(f"{manifest.stream} #{manifest.seq}, {manifest.task}, made {made}")
