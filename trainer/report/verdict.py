"""The beginning of a report: what the model does, how good it is, and the warnings."""

from collections.abc import Iterator

from markupsafe import Markup

from trainer.checks.finding import Finding
from trainer.estimators.fitting import TWO
from trainer.evaluation.baseline import blind, not_beaten, worse_than_constant
from trainer.evaluation.life import remaining_of
from trainer.recipe.document import Regression
from trainer.report.headline import headline
from trainer.report.markup import items, joined, metric, paragraph
from trainer.report.page import MEANINGS, all_clear, notice, remark
from trainer.report.reported import Reported

_MAIN = {
    "remaining life": ("rmse_at_last", "mae_at_last", "mae_by_run", "rmse"),
    "regression": ("mae", "rmse", "r2", "skill"),
    "classification": ("macro_f1", "accuracy", "skill"),
    "two classes": ("f1", "precision", "recall", "skill"),
    "anomaly": ("f1", "false_alarm_rate", "missed_alarm_rate", "skill", "alarm_share"),
}
_CARDS = 4


def verdict(subject: Reported) -> Markup:
    """What the model answers, its main metrics, and the warnings."""
    return joined(
        (
            paragraph(_what(subject)),
            items(_strong(*pair) for pair in headline(subject).items()),
            _cards(subject),
            paragraph(_sentence(subject)),
            _box(subject),
        )
    )


def _what(subject: Reported) -> str:
    manifest = subject.manifest
    value, window = manifest.outputs[0], manifest.window
    about = {
        "regression": _number(subject),
        "classification": f"one of {len(value.classes)} classes ({_few(value.classes)})",
        "anomaly": "whether the asset runs as it did in the training part",
    }[manifest.task]
    period = window.sample_period_ms
    span = "" if period is None else f" ({subject.clock.span(window.length * period * 1e6)})"
    seen = "the last sample" if window.length == 1 else f"the last {window.length} samples{span}"
    return f"This model answers {about}, from {seen} of {len(manifest.channels)} signals."


def _number(subject: Reported) -> str:
    target, value = subject.trained.recipe.target, subject.manifest.outputs[0]
    column = target.column if isinstance(target, Regression) and target.remaining is None else None
    of = f" of {column}" if column else ""
    unit = f" in {value.unit}" if value.unit else ""
    return f"the {value.meaning}{of}{unit}"


def _few(names: tuple[str, ...], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _cards(subject: Reported) -> Markup:
    metrics = subject.manifest.metrics
    shown = [name for name in _main(subject) if name in metrics.values][:_CARDS]
    return Markup('<ul class="cards">{}</ul>').format(
        joined(
            Markup("<li><strong>{}</strong>{}</li>").format(
                metric(name, metrics.formatted(name)), f"{name}: {_beside(subject, name)}"
            )
            for name in shown
        )
    )


def _beside(subject: Reported, name: str) -> str:
    """What a metric means, and what trivial answers have of it."""
    beside = subject.manifest.metrics.baselines
    others = [f"{one} {own[name]:.3g}" for one, own in beside.items() if name in own]
    return MEANINGS[name] + (f" (trivial answers: {', '.join(others)})" if others else "")


def _main(subject: Reported) -> tuple[str, ...]:
    task = subject.manifest.task
    if remaining_of(subject.trained) is not None:
        return _MAIN["remaining life"]
    two = task == "classification" and len(subject.classes) == TWO
    return _MAIN["two classes" if two else task]


def _sentence(subject: Reported) -> Markup:
    metrics = subject.manifest.metrics
    said = {name: metric(name, metrics.formatted(name)) for name in metrics.values}
    about = Markup("").join(_in_words(subject, said))
    return Markup("On {} test windows that were not used for training, {} {}").format(
        metrics.test_rows, about, f"In brackets: {subject.drawn}." if metrics.intervals else ""
    )


def _in_words(subject: Reported, said: dict[str, Markup]) -> Iterator[str | Markup]:
    unit = subject.manifest.outputs[0].unit
    if subject.manifest.task == "regression":
        yield Markup("the mean absolute error of its answers was {} {}.").format(said["mae"], unit)
    elif "recall" in said:
        yield Markup(
            "the model found a share of {} of the windows that are '{}', and a share of {} of its "
            "alarms was right"
        ).format(said["recall"], subject.classes[subject.positive], said["precision"])
        if "false_alarm_rate" in said:
            yield Markup("; it raised an alarm in a share of {} of the normal windows").format(
                said["false_alarm_rate"]
            )
        yield "."
    elif "accuracy" in said:
        yield Markup(
            "a share of {} of its answers was right; the mean F1 of the classes is {}."
        ).format(said["accuracy"], said["macro_f1"])
    else:
        yield Markup("the model raised an alarm in a share of {} of the windows; ").format(
            said["alarm_share"]
        )
        yield (
            "no window is abnormal, so all alarms are false."
            if subject.is_labelled
            else "there are no labels that say which alarms are right."
        )


def _box(subject: Reported) -> Markup:
    against, remarks = list(_warnings(subject)), list(_remarks(subject))
    sound = "The checks found no reason to doubt these metrics."
    if remarks:
        sound = "The checks found no fault in data and split; how far the metrics reach is below."
    return joined(
        (
            notice("Read this before you rely on the metrics", items(against))
            if against
            else all_clear(sound),
            remark("Remarks on the test data", items(remarks)) if remarks else Markup(""),
        )
    )


def _warnings(subject: Reported) -> Iterator[Markup | str]:
    metrics = subject.manifest.metrics
    if "OPTIMISTIC" in metrics.split:
        yield _strong("Optimistic split", metrics.split)
    found = [one for one in subject.trained.findings if one.about == "data"]
    for finding in sorted(found, key=lambda one: not one.overridden):
        yield _strong(_rank(finding), finding.evidence)
    if not subject.is_labelled:
        yield _strong(
            "No labels", "how many alarms are false, and how many events are missed, is not known"
        )
    yield from _useless(subject)
    for sentence in worse_than_constant(subject.manifest):
        yield _strong("Worse than a constant", sentence)
    without = [name for name in metrics.values if name not in metrics.intervals]
    if without and not metrics.intervals and subject.drawn:
        yield _strong("No interval", subject.drawn)
    elif without:
        yield _strong(
            "No interval", f"the uncertainty of these metrics is not known: {', '.join(without)}"
        )


def _useless(subject: Reported) -> Iterator[Markup]:
    """Warnings about a model that one can do without."""
    for sentence in blind(subject.manifest):
        yield _strong("Finds nothing", f"the model is {sentence}")
    for sentence in subject.trained.doubts:
        yield _strong("Of no use", sentence)
    for sentence in not_beaten(subject.manifest):
        yield _strong("No better than trivial", f"the model is {sentence}")
    if (found := subject.trained.comparison) is not None and found.moved:
        yield _strong("Other signals than the champion's", found.doubt)


def _remarks(subject: Reported) -> Iterator[Markup]:
    """What limits how much the test part can show, and casts no doubt on data or model."""
    for finding in subject.trained.findings:
        if finding.about == "test":
            yield _strong(finding.name, f"{finding.evidence}; {finding.remedy}")


def _rank(finding: Finding) -> str:
    if finding.overridden:
        return f"Check overridden by the recipe, {finding.name}"
    return f"Warning, {finding.name}"


def _strong(what: str, text: str | Markup) -> Markup:
    return Markup("<strong>{}:</strong> {}").format(what, text)
