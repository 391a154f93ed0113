"""The part of a recipe that the wire can tell: `[[signals]]`, and when a sample is taken."""

from collections.abc import Iterator, Sequence
from typing import Final

from agent.learn.draft import MAX_SIGNALS, Pipeline
from agent.learn.source import Signal, Source
from models import toml_text as toml
from models.states import state_text

_WHOLE: Final = ("json", "thingsboard", "block")
_SLOWER: Final = 1.5
_GAP_PERIODS: Final = 30
_AGE_PERIODS: Final = 3
_MOST_NAMED: Final = 5
_ZEROS: Final = ("false", "off", "closed", "no", "stopped", "stop", "idle", "disabled", "low")


def recipe_part(pipelines: Sequence[Pipeline], config: str, recipe: str) -> list[str]:
    """The lines for a recipe of the first pipeline; those of the others are left out.

    Args:
        pipelines: the pipelines of the draft, at least one.
        config: path of the configuration that will have the pipelines.
        recipe: path of the file that will have the lines.
    """
    first = pipelines[0]
    lines = [
        *toml.comment(
            f"A part of a recipe, drafted from what was on the wire for the stream {first.stream}. "
            "Add [bundle], [data], [target] and [split]: docs/recipe.md. Data to train on is "
            "recorded by:"
        ),
        f"#   millhand-trainer record --config {config} --stream {first.stream} \\",
        f"#       --recipe {recipe} --broker HOST:PORT --out history.parquet",
    ]
    if others := [one.stream for one in pipelines[1:]]:
        few = ", ".join(others[:_MOST_NAMED])
        lines += toml.comment(
            f"Of other streams, such as {few}, nothing is here: name one by a topic filter."
        )
    periods = _periods([source for source, _ in first.inputs])
    is_held = bool(periods) and max(periods) > _SLOWER * min(periods)
    taken: set[str] = set()
    for source, bound in first.inputs:
        names = {one.signal.where: one.name for one in bound}
        for signal in source.signals[:MAX_SIGNALS]:
            name = names.get(signal.where, signal.name)
            if name not in taken:
                taken.add(name)
                lines += ["", *_of_signal(name, signal, source, is_held=is_held)]
    return [*lines, "", *_of_window([source for source, _ in first.inputs], periods)]


def _of_signal(name: str, signal: Signal, source: Source, *, is_held: bool) -> Iterator[str]:
    values = signal.values
    yield "[[signals]]"
    yield toml.pair("name", name)
    if signal.unit:
        yield toml.pair("unit", signal.unit)
    else:
        yield '# unit = ""  # none is told on the wire'
    if values.kind == "number" and values.low > float("-inf"):
        yield f"# range = [{values.low:.6g}, {values.high:.6g}]  # seen; give what is possible"
    if values.kind == "state":
        yield from toml.comment("UNSURE: the numbers are made up, and other states may be missing.")
        yield toml.pair("codes", codes(values.states))
    period_s = signal.period_s
    if period_s is not None and source.dialect not in _WHOLE:
        age = toml.pair("max_age_s", float(_rounded(_AGE_PERIODS * period_s)))
        yield f"{'' if is_held else '# '}{age}  # it came each {period_s:.3g} s"


def codes(states: Sequence[str]) -> dict[str, int]:
    """A number for each state, from 0 on; those that mean off come first."""
    texts = sorted(map(state_text, states), key=lambda one: (one.casefold() not in _ZEROS, one))
    return {text: number for number, text in enumerate(dict.fromkeys(texts))}


def _periods(sources: Sequence[Source]) -> Sequence[float]:
    """The periods of the signals, or else of the topics; none where they are not known."""
    if _is_whole(sources):
        return [one.pace.median_s for one in sources if one.pace is not None]
    return [
        one.period_s for source in sources for one in source.signals if one.period_s is not None
    ] or [source.pace.median_s for source in sources if source.pace is not None]


def _is_whole(sources: Sequence[Source]) -> bool:
    """Whether each message has all signals."""
    return len(sources) == 1 and sources[0].dialect in _WHOLE


def _of_window(sources: Sequence[Source], periods: Sequence[float]) -> Iterator[str]:
    """When a sample is taken: with the message where it has all signals, else on a grid."""
    is_whole = _is_whole(sources)
    yield "[window]"
    if is_whole or not periods:
        yield 'trigger = "all_fresh"  # a sample is complete once every signal has a new value'
        if periods:
            yield f"# period_s = {_rounded(periods[0])}  # left out, it is measured from the data"
        return
    if max(periods) <= _SLOWER * min(periods):
        yield 'trigger = "all_fresh"  # the signals come at one pace: each sample has all of them'
        return
    slowest = max(periods)
    yield from toml.comment(
        f"The signals come at a pace of their own, each {min(periods):.3g} to {slowest:.3g} s: "
        "samples are taken on a grid, and values are held for the max_age_s of their signal."
    )
    yield 'trigger = "period"'
    yield f"period_s = {_rounded(min(periods))}"
    yield f"max_gap_s = {_rounded(max(_GAP_PERIODS * min(periods), _AGE_PERIODS * slowest))}"


def _rounded(seconds: float) -> str:
    """Seconds to two digits, above zero."""
    return f"{max(0.001, float(f'{seconds:.2g}')):g}"
