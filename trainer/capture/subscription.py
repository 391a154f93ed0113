"""What is recorded: topics, payload formats and signals, from a gateway's configuration or options.

Either way they become the settings that the agent has, and are checked by the same rules.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.input.codecs.encodings import ENCODINGS
from models.input.codecs.qualities import NamedMap
from models.input.limits import IntakeLimits
from models.input.options import Dialect
from models.input.pipeline import Pipeline
from models.input.routes import Routes
from models.input.source import Input
from models.input.topics import check_delivered_once
from models.states import Codes, plain_codes
from trainer.errors import UsageError
from trainer.recipe.data_section import Signal
from trainer.recipe.toml_file import read_toml
from trainer.recipe.validation_errors import told

# `plain` is `scalar` without paths. Blocks cannot be recorded, and `tags` needs a table of its own.
DIALECTS = ("plain", *(one for one in get_args(Dialect) if one not in ("block", "tags")))
# Name of the asset where no level of the topic names it.
LONE_ASSET = "asset"
# Default path of the event time, by payload format; the others have none, or a fixed one.
_TIMES = {"json": "ts", "scalar": "timestamp"}
_TOPIC_ONLY = (
    "dialect",
    "asset",
    "name_separator",
    "encoding",
    "value",
    "timestamp",
    "timestamp_unit",
    "timezone",
    "quality",
    "quality_map",
)
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What to subscribe to, and how a message becomes a row.

    Attributes:
        pipeline: topics and payload formats, as in a gateway's configuration.
        signals: names of the signals, which are the columns of the recording, in order.
        limits: limits of payload sizes and event times.
        codes: the numbers of the states of each signal of states, by its name.
    """

    pipeline: Pipeline
    signals: tuple[str, ...]
    limits: IntakeLimits
    codes: Mapping[str, Codes] = field(default_factory=dict)

    @property
    def filters(self) -> list[str]:
        """The MQTT topic filters, each once, sorted."""
        return sorted({name for one in self.pipeline.inputs for name in one.filters})

    @property
    def is_whole(self) -> bool:
        """Whether every message carries all signals, so that a row is a sample."""
        return Routes(self.pipeline, self.signals).is_whole


class _Limits(IntakeLimits):
    model_config = ConfigDict(extra="ignore")


class _Recipe(BaseModel):
    """The part of a recipe about signals; a recipe that is not complete yet has it, too."""

    model_config = ConfigDict(extra="ignore")

    signals: Annotated[tuple[Signal, ...], Field(min_length=1)]


class _Configuration(BaseModel):
    """The part of agent.toml about inputs; the rest is checked by the agent only."""

    model_config = ConfigDict(extra="ignore")

    pipelines: Annotated[tuple[Pipeline, ...], Field(min_length=1, max_length=64)]
    limits: _Limits = _Limits()

    @model_validator(mode="after")
    def _inputs_are_delivered_once(self) -> Self:
        inputs = [source for one in self.pipelines for source in one.inputs]
        check_delivered_once(name for source in inputs for name in source.filters)
        return self

    @model_validator(mode="after")
    def _inputs_know_their_limit(self) -> Self:
        for source in (source for one in self.pipelines for source in one.inputs):
            source.limit(self.limits.max_payload_bytes)
        return self


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe a subscription to a parser."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--config", type=Path, help="gateway configuration, to record its inputs")
    topics = "topic template, such as plant/{asset}/telemetry or plant/{asset}/{signal}"
    which.add_argument("--topic", help=topics)
    add = parser.add_argument
    add("--stream", help="stream of the pipeline to record, if --config has several")
    add(
        "--signal",
        action="append",
        default=[],
        metavar="NAME[=PATH]",
        help="signal to record, and its path in the payload or its word at the level {signal}; "
        "may be given several times",
    )
    add(
        "--recipe",
        type=Path,
        help="recipe, also an unfinished one, whose codes turn the states of signals into numbers; "
        "without it, states are recorded as missing",
    )
    add("--dialect", choices=DIALECTS, help="payload format of --topic; default json")
    add("--asset", help="path of the asset, where several share a topic; default none")
    add("--name-separator", help="text in a tag's name before which its asset stands; default none")
    add("--encoding", choices=ENCODINGS, help="how payloads are written; default as text")
    add("--value", help="path of the value in a scalar payload; default value")
    add("--timestamp", help="path of event time, '' for arrival; default ts, or timestamp (scalar)")
    add("--timestamp-unit", help="unit of the event time: ns, us, ms (usual), s or iso8601")
    add("--timezone", help="time zone of event times in text without an offset; default UTC")
    add("--quality", help="path of the quality; default none")
    add("--quality-map", metavar="NAME", help=f"how it is read: {', '.join(get_args(NamedMap))}")


def subscription(options: argparse.Namespace) -> Subscription:
    """The subscription that a command line describes.

    Raises:
        UsageError: the options contradict each other or the configuration.
        RecipeError: the configuration has mistakes; the message has a line for each.
    """
    found = _of_topic(options) if options.config is None else _of_config(options)
    if found.pipeline.is_of_blocks:
        raise UsageError(
            f"pipeline '{found.pipeline.stream}' reads blocks, which cannot be recorded: a row is "
            "one message, and a block holds thousands of samples"
        )
    return replace(found, codes=_codes(options.recipe, found.signals)) if options.recipe else found


def _codes(path: Path, recorded: Sequence[str]) -> Mapping[str, Codes]:
    """The codes that a recipe gives to the states of signals.

    Raises:
        RecipeError: the signals of the recipe have mistakes.
        UsageError: a signal of states is not recorded, or its recording would be ambiguous.
    """
    found = {}
    for signal in read_toml(path, _Recipe).signals:
        if not signal.codes:
            continue
        if signal.source not in recorded:
            raise UsageError(
                f"--recipe {path}: signal '{signal.name}' with codes is not recorded; bind "
                f"'{signal.source}' by --signal or in the configuration, or take it out. Recorded: "
                f"{', '.join(recorded)}"
            )
        if not plain_codes(signal.codes):
            raise UsageError(
                f"--recipe {path}: signal '{signal.name}' has a state that is a number, so that "
                "recorded numbers could be states or codes; record it without codes"
            )
        found[signal.source] = signal.codes
    return found


def _of_config(options: argparse.Namespace) -> Subscription:
    if unfit := [name for name in _TOPIC_ONLY if getattr(options, name) is not None]:
        word = unfit[0].replace("_", "-")
        raise UsageError(f"--{word} needs --topic; with --config the configuration has it")
    configuration = read_toml(options.config, _Configuration)
    pipeline = _chosen(configuration.pipelines, options)
    own = [name for source in pipeline.inputs for name in source.signals]
    if any("=" in name for name in options.signal):
        raise UsageError("--signal takes no path with --config: the configuration has it")
    signals = tuple(options.signal or dict.fromkeys(own))
    unnamed = [n for n, source in enumerate(pipeline.inputs) if not source.signals]
    if unnamed and not options.signal:
        raise UsageError(
            f"{options.config}: inputs[{unnamed[0]}] of '{pipeline.stream}' takes its signals from "
            "the model; give each signal of the model with --signal"
        )
    if strange := sorted(Routes(pipeline, signals).carried ^ set(signals)):
        raise UsageError(
            f"--signal: '{strange[0]}' is "
            + ("missing" if strange[0] not in signals else f"not a signal of '{pipeline.stream}'")
            + f"; the configuration has {', '.join(dict.fromkeys(own))}"
        )
    return Subscription(pipeline, signals, configuration.limits)


def _of_topic(options: argparse.Namespace) -> Subscription:
    if options.stream is not None:
        raise UsageError("--stream needs --config; leave it out with --topic")
    if not options.signal:
        raise UsageError("--topic needs --signal, once for each signal to record")
    dialect = options.dialect or "json"
    timestamp = options.timestamp
    timed = timestamp if timestamp is not None else _TIMES.get(dialect, "")
    value = options.value if options.value is not None else "value" * (dialect == "scalar")
    content = {
        "topic": options.topic,
        "dialect": "scalar" if dialect == "plain" else dialect,
        "encoding": options.encoding or "",
        "signals": _signals(options.signal),
        "asset": options.asset or "",
        "name_separator": options.name_separator or "",
        "value": value,
        "timestamp": timed,
        "timezone": options.timezone or "UTC",
        "quality": options.quality or "",
        "quality_map": options.quality_map,
    }
    if options.timestamp_unit is not None:  # the payload formats have different ones by default
        content["timestamp_unit"] = options.timestamp_unit
    if dialect == "plain" and (value or timed or content["quality"]):
        raise UsageError("--dialect plain is a number without paths; use --dialect scalar for them")
    source = _checked(Input, content)
    pipeline = _checked(Pipeline, {"stream": LONE_ASSET, "inputs": [source]})
    return Subscription(pipeline, tuple(content["signals"]), IntakeLimits())


def _signals(words: Sequence[str]) -> dict[str, str]:
    """The path of each signal by its name."""
    signals: dict[str, str] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if name in signals or (equals and not path):
            raise UsageError(f"--signal {word}: give NAME or NAME=PATH, each name once")
        signals[name] = path or name
    return signals


def _checked(model: type[_Model], content: dict[str, Any]) -> _Model:
    try:
        return model.model_validate(content)
    except ValidationError as exc:
        lines = [_as_option(line, content) for line in told(exc, content, model)]
        raise UsageError("\n".join(lines)) from exc


def _as_option(line: str, content: dict[str, Any]) -> str:
    """A mistake with the command line's option in place of the key."""
    key, _, rest = line.partition(":")
    name = key.split(".")[0]
    option = "signal" if name == "signals" else name.replace("_", "-")
    return f"--{option}:{rest}" if name in content else line


def _chosen(pipelines: Sequence[Pipeline], options: argparse.Namespace) -> Pipeline:
    found = [one for one in pipelines if options.stream in (None, one.stream)]
    if len(found) == 1:
        return found[0]
    streams = ", ".join(one.stream for one in pipelines)
    asked = "--stream is needed" if options.stream is None else f"--stream is '{options.stream}'"
    raise UsageError(f"{asked}; {options.config} has {streams}")
