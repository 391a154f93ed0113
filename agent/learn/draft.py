"""Writes the draft: pipelines that `millhand-agent check` accepts, with all that is in doubt."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from agent.config.settings import Settings
from agent.learn.recognition import LeftOut
from agent.learn.seen import shown
from agent.learn.source import Signal, Source
from models import toml_text as toml
from models.validation import explain, follows

MAX_SIGNALS: Final = 100
"""Signals of one source that are written out."""
MAX_BYTES: Final = 40_000
"""Bytes of all pipelines; an agent takes a file of 64 KiB, which has other sections too."""
_GENERIC: Final = frozenset(
    ["telemetry", "data", "state", "values", "all", "sensors", "sensor", "v1", "umh", "me"]
)
_MOST_NAMED: Final = 3
_FEW_STATES: Final = 4


@dataclass(frozen=True, slots=True)
class Bound:
    """One signal of an input, as it is written.

    Attributes:
        name: the signal's name in the model.
        signal: the signal that was seen.
        behind: a short comment; empty without one.
        counts: whether it is bound, or only shown.
    """

    name: str
    signal: Signal
    behind: str = ""
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline of the draft.

    Attributes:
        stream: its stream.
        inputs: its sources, each with the signals that are bound.
        notes: what a person should know of all of it.
    """

    stream: str
    inputs: Sequence[tuple[Source, Sequence[Bound]]]
    notes: Sequence[str] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """The section as the agent reads it."""
        late = max(source.disorder_ms for source, _ in self.inputs)
        return {
            "stream": self.stream,
            "disorder_ms": late if self._is_timed else 0,
            "inputs": [
                {
                    "topic": source.topic,
                    "dialect": source.dialect,
                    **source.options,
                    "signals": {one.name: one.signal.where for one in bound if one.counts},
                }
                for source, bound in self.inputs
            ],
        }

    @property
    def _is_timed(self) -> bool:
        """Whether every input has a source time, without which nothing can be put in order."""
        return all(
            "timestamp" in source.options or source.dialect not in ("json", "scalar", "block")
            for source, _ in self.inputs
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """All that is printed.

    Attributes:
        lines: the draft, line by line.
        pipelines: number of pipelines that count.
    """

    lines: Sequence[str]
    pipelines: int


def pipelines_of(
    sources: Sequence[Source], stream: str = "", *, with_states: bool = False
) -> list[Pipeline]:
    """A pipeline for each source, where no model says what belongs together.

    Args:
        sources: what was recognised.
        stream: name of the streams; empty for names by the topics.
        with_states: whether states are bound too, because a recipe gives them codes.
    """
    streams = _streams(sources, stream)
    return [
        Pipeline(name, [(source, _all_bound(source, with_states=with_states))])
        for name, source in zip(streams, sources, strict=True)
    ]


def draft(pipelines: Sequence[Pipeline], left_out: Sequence[LeftOut]) -> Draft:
    """Write pipelines; those that cannot stand beside the ones before are written as comments."""
    accepted: list[dict[str, Any]] = []
    lines: list[str] = []
    size, omitted = 0, 0
    for pipeline in pipelines:
        if size > MAX_BYTES:
            omitted += 1
            continue
        mistake = mistake_in([*accepted, pipeline.settings])
        written = list(_written(pipeline))
        if mistake:
            why = f"NOT USED, because the agent refuses it beside the others: {mistake}"
            written = [*toml.comment(why), *toml.commented(written)]
        size += sum(len(line.encode()) + 1 for line in written)
        if size > MAX_BYTES:
            omitted += 1
            continue
        lines += ["", *written]
        accepted += [] if mistake else [pipeline.settings]
    if omitted:
        note = (
            f"{omitted} more inputs were recognised, and are left out: the file would be too long."
        )
        lines += ["", *toml.comment(f"{note} Name a narrower topic filter to see them.")]
    return Draft([*lines, *_of_left_out(left_out)], len(accepted))


def mistake_in(pipelines: Sequence[Mapping[str, Any]]) -> str:
    """Why the agent would refuse pipelines, in words; empty if it takes them."""
    others: dict[str, Any] = {
        "gateway": {"id": "learn"},
        "broker": {"host": "localhost"},
        "registry": {"url": "file:///nowhere", "root": "/nowhere"},
    }
    try:
        Settings(**others, pipelines=[_without_defaults(one) for one in pipelines])
    except ValidationError as exc:
        errors = [error for error in exc.errors() if not follows(error, exc.errors())]
        return "; ".join(explain(error) for error in errors[:2])
    return ""


def _without_defaults(pipeline: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in pipeline.items() if value or name != "disorder_ms"}


def _streams(sources: Sequence[Source], stream: str) -> list[str]:
    found: list[str] = []
    for source in sources:
        words = [word for word in source.topic.split("/") if word and "{" not in word]
        telling = [word for word in words if word.casefold() not in _GENERIC] or words
        stem = stream or re.sub(r"[^A-Za-z0-9_-]+", "-", "-".join(telling)).strip("-_")[:48]
        name, number = stem or "learned", 2
        while name in found:
            name, number = f"{stem or 'learned'}-{number}", number + 1
        found.append(name)
    return found


def _all_bound(source: Source, *, with_states: bool) -> list[Bound]:
    return [
        Bound(one.name, one, _told(one), one.values.is_numeric or with_states)
        for one in source.signals[:MAX_SIGNALS]
    ]


def _told(signal: Signal) -> str:
    """What a person wants to know of a signal, in a few words."""
    values, unit = signal.values, f" {signal.unit}" if signal.unit else ""
    if values.kind == "boolean":
        told = "true or false, read as 1 and 0"
    elif values.kind == "state":
        further = len(values.states) - _FEW_STATES
        few = ", ".join(shown.shortened(one, 16) for one in values.states[:_FEW_STATES])
        more = f" and {further} more" if further > 0 else ""
        told = f"states, which need codes in the recipe: {few}{more}"
    elif values.low == float("-inf"):
        told = f"samples{unit}"
    elif values.low == values.high:
        told = f"{values.low:.6g}{unit} all the time"
    else:
        told = f"{values.low:.6g} to {values.high:.6g}{unit}"
    if signal.period_s is not None:
        told += f", each {signal.period_s:.3g} s"
    if values.others:
        told += f"; {values.others} of {values.count} were no numbers"
    return told


def _written(pipeline: Pipeline) -> Iterator[str]:
    for note in pipeline.notes:
        yield from toml.comment(note)
    yield "[[pipelines]]"
    yield toml.pair("stream", pipeline.stream)
    if waiting_ms := pipeline.settings["disorder_ms"]:
        yield toml.pair("disorder_ms", waiting_ms, "times were seen out of order")
    for source, bound in pipeline.inputs:
        yield ""
        yield from _of_input(source, bound)


def _of_input(source: Source, bound: Sequence[Bound]) -> Iterator[str]:
    yield from toml.comment(_heard(source))
    for note in source.notes:
        yield from toml.comment(note)
    yield "[[pipelines.inputs]]"
    yield toml.pair("topic", source.topic)
    yield toml.pair("dialect", source.dialect)
    for name, value in source.options.items():
        yield toml.pair(name, value)
    if not bound:
        return
    yield "[pipelines.inputs.signals]"
    for one in bound:
        line = toml.pair(one.name, one.signal.where, one.behind)
        if len(line) > toml.WIDTH:
            yield from toml.comment(f"{one.name}: {one.behind}.")
            line = toml.pair(one.name, one.signal.where)
        yield line if one.counts else f"# {line}"
    if (more := len(source.signals) - MAX_SIGNALS) > 0 and len(bound) == MAX_SIGNALS:
        yield f"# ... and {more} more signals"


def _heard(source: Source) -> str:
    text = f"{source.messages} messages on {source.topics} {_topics(source.topics)}"
    if source.pace is not None:
        pace = source.pace
        text += (
            f", on each about every {pace.median_s:.3g} s ({pace.low_s:.3g} to {pace.high_s:.3g} s)"
        )
    if source.assets:
        few = ", ".join(shown.shortened(one, 32) for one in source.assets[:_MOST_NAMED])
        more = len(source.assets) - _MOST_NAMED
        word = "asset" if len(source.assets) == 1 else "assets"
        text += f"; {len(source.assets)} {word}: {few}{f' and {more} more' if more > 0 else ''}"
    return text + "."


def _topics(count: int) -> str:
    return "topic" if count == 1 else "topics"


def _of_left_out(left_out: Sequence[LeftOut]) -> Iterator[str]:
    if not left_out:
        return
    yield ""
    yield from toml.comment("Left out:")
    for one in left_out:
        yield from toml.comment(f"{one.topics} {_topics(one.topics)} {one.reason}", "# - ")
        for example in one.examples:
            yield f"#     {example}"
