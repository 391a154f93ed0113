"""Runs `millhand-agent learn`: listens, recognises, and prints the draft on standard output."""

import argparse
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from agent.cli.learning.listener import Listener, note
from agent.cli.learning.reach import manifest_of, settings_of
from agent.learn.draft import Draft, Pipeline, draft, pipelines_of
from agent.learn.for_model import Plan, plan
from agent.learn.recipe_part import recipe_part
from agent.learn.recognition import Recognised, recognised
from agent.learn.seen import shown
from agent.learn.seen.wire import Bounds, Wire
from models import toml_text as toml
from models.bundle.manifest import Name
from models.files import write_atomically
from models.input.topics import overlap
from models.printable import printable
from serving.errors import ConfigError

SCHEMA: Final = "config/agent.schema.json"
NOTHING: Final = 1
"""Exit code where no pipeline could be drafted, or one without all signals of the model."""


def learn(chosen: argparse.Namespace) -> int:
    """Listen, and print the draft; returns 0 if it has a pipeline that counts.

    Raises:
        ConfigError: an option is wrong, or the broker refuses it.
        BrokerError: the broker cannot be reached.
    """
    _check(chosen)
    manifest = manifest_of(chosen.bundle, chosen.config, SCHEMA) if chosen.bundle else None
    mib = 1 << 20
    bounds = Bounds(chosen.messages, chosen.megabytes * mib, chosen.topics, chosen.memory * mib)
    listener = Listener(settings_of(chosen, SCHEMA), chosen.filters, chosen.seconds, Wire(bounds))
    listener.listen(may_interrupt=chosen.interrupt)
    note(f"{listener.ended}: looking at {listener.wire.messages} messages")
    found = recognised(listener.wire)
    planned = plan(manifest, found.sources) if manifest else None
    pipelines = _pipelines(found, planned, chosen)
    made = draft(pipelines, found.left_out)
    for line in (*_head(listener, chosen), *_body(made, planned, listener)):
        print(printable(line))
    if chosen.recipe and pipelines:
        _write_recipe(chosen.recipe, recipe_part(pipelines, str(chosen.config), str(chosen.recipe)))
    return _code(made, planned)


def _check(chosen: argparse.Namespace) -> None:
    for one, other in combinations(chosen.filters, 2):
        if overlap(one, other):
            raise ConfigError(f"{one} and {other} have topics in common: leave one out")
    if chosen.recipe and chosen.recipe.exists():
        raise ConfigError(f"--recipe {chosen.recipe}: is there, and is not written over")
    if chosen.stream:
        if chosen.bundle:
            raise ConfigError("--stream and --bundle both name the stream: leave --stream out")
        try:
            TypeAdapter(Name).validate_python(chosen.stream)
        except ValidationError as exc:
            raise ConfigError(
                f"--stream {chosen.stream}: letters, digits, dots, - and _ are allowed"
            ) from exc


def _pipelines(
    found: Recognised, planned: Plan | None, chosen: argparse.Namespace
) -> list[Pipeline]:
    if planned is None:
        return pipelines_of(found.sources, chosen.stream or "", with_states=bool(chosen.recipe))
    return [planned.pipeline] if planned.pipeline is not None else []


def _head(listener: Listener, chosen: argparse.Namespace) -> Iterator[str]:
    """What was listened to, and what is not known because of limits."""
    wire, broker = listener.wire, listener.settings.broker
    yield from toml.comment(
        f"Drafted by millhand-agent learn: {', '.join(chosen.filters)} of {broker.host}:"
        f"{broker.port}, {listener.lasted_s:.0f} s ({listener.ended}), {wire.messages} messages on "
        f"{len(wire.topics)} topics."
    )
    yield from toml.comment(
        "Put it into the agent's configuration, read what is UNSURE, and run millhand-agent check."
    )
    for name in listener.refused:
        yield from toml.comment(f"The broker has refused to subscribe {name}.")
    for reason, count in wire.unkept.most_common():
        yield from toml.comment(f"{count} messages were not looked at: {reason}.")


def _body(made: Draft, planned: Plan | None, listener: Listener) -> Iterator[str]:
    if not listener.wire.messages:
        yield from toml.comment(
            "Nothing arrived: no client publishes on these topics, this login may not read them "
            "(a broker may be silent about it), or the time was too short."
        )
        return
    if planned is not None and planned.pipeline is None:
        yield from toml.comment("None of the model's signals was found, so there is no pipeline.")
        for sentence in planned.notes:
            yield from toml.comment(sentence)
    yield from made.lines
    if planned is not None and planned.unused:
        yield ""
        yield from toml.comment("Also recognised, and not needed for the model:")
        for source in planned.unused[:20]:
            few = ", ".join(shown.shortened(one.where, 24) for one in source.signals[:4])
            text = f"{source.topic} ({source.dialect}), {source.messages} messages: {few}"
            yield from toml.comment(text, "# - ")


def _write_recipe(path: Path, lines: Sequence[str]) -> None:
    try:
        write_atomically(path, ("\n".join(lines) + "\n").encode())
    except OSError as exc:
        raise ConfigError(f"--recipe {path}: cannot be written: {exc.strerror}") from exc
    note(f"a part of a recipe is in {path}")


def _code(made: Draft, planned: Plan | None) -> int:
    """0 if the draft is whole; says on standard error what is missing."""
    if not made.pipelines:
        note("no pipeline could be drafted; the comments say what was there")
        return NOTHING
    if planned is not None and planned.missing:
        note(
            f"of the model's signals {', '.join(planned.missing)} are missing: the agent does not "
            "serve the model until they are bound"
        )
        return NOTHING
    return 0
