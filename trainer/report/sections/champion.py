"""The section on the champion: an earlier bundle of the stream on the same windows."""

from markupsafe import Markup

from trainer.report.markup import items, joined, paragraph, table
from trainer.report.reported import Reported


def champion(subject: Reported) -> Markup:
    """Whether the new model is better than the champion, if there is one."""
    found = subject.trained.comparison
    if found is None:
        return Markup("")
    verdict = (
        f"{found.doubt}The new model is {found.verdict}: its {found.metric} differs by "
        f"{found.difference.amount} from that of {found.label}, "
        f"on the {found.windows} windows that both answered. In brackets: {found.drawn}."
    )
    manifest = subject.manifest
    rows = (
        (f"{manifest.name} {manifest.version}, this bundle", f"{found.challenger:.4g}"),
        (f"{found.name} {found.version}, {found.label}", f"{found.champion:.4g}"),
    )
    return joined((paragraph(verdict), table(("model", found.metric), rows), items(found.caveats)))
