"""What is recorded: topics, dialects and signals, by a gateway's configuration or by options.

Either way they are the settings that the agent itself is given, checked by the same rules.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.input.limits import IntakeLimits
from models.input.pipeline import Pipeline
from models.input.routes import Routes
from models.input.source import Input, check_delivered_once
from models.input.topics import TopicTemplate
from trainer.errors import UsageError
from trainer.recipe.toml_file import read_toml
from trainer.recipe.validation_errors import told

DIALECTS = ("json", "scalar", "plain", "umh", "thingsboard")
LONE_ASSET = "asset"
"""What the asset is called where no level of the topic names it."""
_TIMES = {"json": "ts", "scalar": "timestamp"}
_TOPIC_ONLY = ("dialect", "value", "timestamp", "timestamp_unit", "quality")
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What to listen to, and what of it makes a row.

    Attributes:
        pipeline: topics and dialects.
        signals: names of the columns, in order.
        limits: of payloads and times.
    """

    pipeline: Pipeline
    signals: tuple[str, ...]
    limits: IntakeLimits

    @property
    def filters(self) -> list[str]:
        """Topic filters, each once."""
        return sorted({TopicTemplate(one.topic).filter for one in self.pipeline.inputs})

    @property
    def is_whole(self) -> bool:
        """Whether every message carries all signals."""
        return Routes(self.pipeline, self.signals).is_whole


class _Limits(IntakeLimits):
    model_config = ConfigDict(extra="ignore")


class _Configuration(BaseModel):
    """The part of agent.toml that says what is taken in; the agent checks the rest."""

    model_config = ConfigDict(extra="ignore")

    pipelines: Annotated[tuple[Pipeline, ...], Field(min_length=1, max_length=64)]
    limits: _Limits = _Limits()

    @model_validator(mode="after")
    def _inputs_are_delivered_once(self) -> Self:
        check_delivered_once([source for one in self.pipelines for source in one.inputs])
        return self


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe it on a command line."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--config", type=Path, help="of a gateway: record what it would take in")
    which.add_argument("--topic", help="such as plant/{asset}/telemetry, or plant/{asset}/{signal}")
    parser.add_argument("--stream", help="which pipeline of --config, if it has several")
    parser.add_argument(
        "--signal",
        action="append",
        default=[],
        metavar="NAME[=PATH]",
        help="a column, and where the payload (or the level {signal}) has it; once for each",
    )
    parser.add_argument("--dialect", choices=DIALECTS, help="of --topic, default json")
    parser.add_argument("--value", help="path of a scalar's value, default value")
    parser.add_argument(
        "--timestamp", help="path; default ts, of scalar timestamp; '' for the time of arrival"
    )
    parser.add_argument("--timestamp-unit", help="ns, us, ms (default), s or iso8601")
    parser.add_argument("--quality", help="path of the quality, default none")


def subscription(options: argparse.Namespace) -> Subscription:
    """What a command line asks for.

    Raises:
        UsageError: options that do not fit each other, or the configuration.
        RecipeError: mistakes in the configuration, a line each.
    """
    found = _of_topic(options) if options.config is None else _of_config(options)
    if found.pipeline.is_of_blocks:
        raise UsageError(
            f"pipeline '{found.pipeline.stream}' takes blocks, which are not recorded: a row is a "
            "message, and a block has thousands of samples"
        )
    return found


def _of_config(options: argparse.Namespace) -> Subscription:
    if unfit := [name for name in _TOPIC_ONLY if getattr(options, name) is not None]:
        word = unfit[0].replace("_", "-")
        raise UsageError(f"--{word} belongs to --topic; with --config the configuration says it")
    configuration = read_toml(options.config, _Configuration)
    pipeline = _chosen(configuration.pipelines, options)
    own = [name for source in pipeline.inputs for name in source.signals]
    if any("=" in name for name in options.signal):
        raise UsageError("--signal has no path with --config: the configuration says where it is")
    signals = tuple(options.signal or dict.fromkeys(own))
    unnamed = [n for n, source in enumerate(pipeline.inputs) if not source.signals]
    if unnamed and not options.signal:
        raise UsageError(
            f"{options.config}: inputs[{unnamed[0]}] of '{pipeline.stream}' leaves its signals to "
            "the model; name the model's with --signal, once for each"
        )
    if strange := sorted(Routes(pipeline, signals).carried ^ set(signals)):
        raise UsageError(
            f"--signal: '{strange[0]}' is "
            + ("missing" if strange[0] not in signals else f"no signal of '{pipeline.stream}'")
            + f"; the configuration has {', '.join(dict.fromkeys(own))}"
        )
    return Subscription(pipeline, signals, configuration.limits)


def _of_topic(options: argparse.Namespace) -> Subscription:
    if options.stream is not None:
        raise UsageError("--stream belongs to --config; --topic says itself what is recorded")
    if not options.signal:
        raise UsageError("--topic needs --signal, once for each column to record")
    dialect = options.dialect or "json"
    timestamp = options.timestamp
    timed = timestamp if timestamp is not None else _TIMES.get(dialect, "")
    value = options.value if options.value is not None else "value" * (dialect == "scalar")
    content = {
        "topic": options.topic,
        "dialect": "scalar" if dialect == "plain" else dialect,
        "signals": _signals(options.signal),
        "value": value,
        "timestamp": timed,
        "timestamp_unit": options.timestamp_unit or "ms",
        "quality": options.quality or "",
    }
    if dialect == "plain" and (value or timed or content["quality"]):
        raise UsageError("--dialect plain is a number and nothing else; --dialect scalar has paths")
    source = _checked(Input, content)
    pipeline = _checked(Pipeline, {"stream": LONE_ASSET, "inputs": [source]})
    return Subscription(pipeline, tuple(content["signals"]), IntakeLimits())


def _signals(words: Sequence[str]) -> dict[str, str]:
    """Path by name."""
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
    """A mistake with its key as the option that it was given by."""
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
