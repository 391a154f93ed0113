"""The pipeline that feeds a model: its signals are looked for among those that were seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agent.learn.draft import Bound, Pipeline, mistake_in
from agent.learn.matching import SURE, Fit, Match, fit, near
from agent.learn.seen import shown
from agent.learn.source import Signal, Source
from models.bundle.manifest import Channel, Manifest


@dataclass(frozen=True, slots=True)
class Plan:
    """The pipeline of a model.

    Attributes:
        pipeline: the pipeline; None if none of the signals was found.
        missing: names of the signals that were not found.
        notes: what was found of the missing ones.
        unused: sources that the pipeline does not need.
    """

    pipeline: Pipeline | None
    missing: Sequence[str]
    notes: Sequence[str]
    unused: Sequence[Source]


def plan(manifest: Manifest, sources: Sequence[Source]) -> Plan:
    """The pipeline of a model, from the source that carries most of its signals, and others.

    Args:
        manifest: of the model.
        sources: what was recognised, those with the most messages first.
    """
    fits = [fit(manifest.channels, source) for source in sources]
    fits.sort(key=lambda one: (-len(one.matches), -_certainty(one)))
    chosen: list[Fit] = []
    for candidate in fits:
        covered = {name for one in chosen for name in one.matches}
        own = {name: one for name, one in candidate.matches.items() if name not in covered}
        if not own:
            continue
        added = [*chosen, replace(candidate, matches=own)]
        if not mistake_in([_pipeline(manifest, added).settings]):
            chosen = added
    covered = {name for one in chosen for name in one.matches}
    missing = [one for one in manifest.channels if one.name not in covered]
    bound = {id(match.signal) for one in chosen for match in one.matches.values()}
    free = [signal for source in sources for signal in source.signals if id(signal) not in bound]
    notes = [_told_missing(one, fits, free) for one in missing]
    used = [one.source for one in chosen]
    pipeline = _pipeline(manifest, chosen, notes) if chosen else None
    unused = [one for one in sources if one not in used]
    return Plan(pipeline, [one.name for one in missing], notes, unused)


def _certainty(one: Fit) -> float:
    return sum(match.certainty for match in one.matches.values())


def _pipeline(manifest: Manifest, chosen: Sequence[Fit], notes: Sequence[str] = ()) -> Pipeline:
    head = f"For the model {manifest.stream}#{manifest.seq} {manifest.version}."
    return Pipeline(
        manifest.stream,
        [(one.source, [_bound(match) for match in one.matches.values()]) for one in chosen],
        [head, *notes],
    )


def _bound(match: Match) -> Bound:
    return Bound(match.channel.name, match.signal, ", ".join(_doubts(match)))


def _doubts(match: Match) -> Iterator[str]:
    channel, signal = match.channel, match.signal
    values = signal.values
    if match.certainty < SURE:
        yield f"UNSURE: the name is only alike, seen {shown.two(values.examples)}"
    if channel.unit and not signal.unit:
        yield f"in {channel.unit} for the model, on the wire no unit is told"
    if match.is_outside and channel.valid_range is not None:
        low, high = channel.valid_range
        yield (
            f"UNSURE: {values.low:.6g} to {values.high:.6g} was seen, and the model allows "
            f"{low:g} to {high:g}"
        )
    if channel.codes and (unknown := [one for one in values.states if one not in channel.codes]):
        few = ", ".join(shown.value(one) for one in unknown[:2])
        yield f"UNSURE: the model has no code for {few}"


def _told_missing(channel: Channel, fits: Sequence[Fit], free: Sequence[Signal]) -> str:
    unit = f" in {channel.unit}" if channel.unit else ""
    text = f"MISSING: the model's signal '{channel.name}'{unit} was not found"
    for one in fits:
        if (match := one.refused.get(channel.name)) is not None:
            seen = match.signal
            where = f"'{shown.shortened(seen.where)}' on {one.source.topic}"
            if match.has_other_unit:
                return f"{text}: {where} has the name, but is in {seen.unit}."
            written = shown.two(seen.values.examples)
            return f"{text}: {where} has the name, but the model has no codes for {written}."
    candidates = near(channel, free)
    if not candidates:
        return f"{text}, nor anything like it."
    few = ", ".join(
        f"'{shown.shortened(one.where)}' ({shown.two(one.values.examples)})" for one in candidates
    )
    return f"{text}. It may be {few}: add it to signals as {channel.name} = ..."
