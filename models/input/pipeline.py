"""One pipeline in the gateway's configuration: its inputs, its output, and what ties them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.bundle.manifest import Name
from models.input.source import Input, Qos, Topic
from models.input.topics import SIGNAL, TopicTemplate
from models.settings import Section


class Output(Section):
    """Where predictions go. The topic may use the named levels of the inputs, and `{stream}`."""

    topic: Topic | None = Field(
        None,
        description="default: <asset's levels>/_inference/{stream}; where the first input's "
        "topic ends in a level of variable depth, _inference/{stream}/<its topic>",
    )
    qos: Qos = 1
    scalars: bool = Field(
        default=False,
        description="also publish each field of a prediction as plain text, on a topic below it",
    )


class Pipeline(Section):
    """One stream of models, and the topics that feed it."""

    stream: Name
    inputs: Annotated[tuple[Input, ...], Field(min_length=1, max_length=64)]
    output: Output = Output()
    overload: Literal["block", "latest", "decimate"] = Field(
        "block",
        description="what is dropped when more messages arrive than can be answered; block: "
        "nothing, the broker keeps them",
    )
    shadow: Literal["off", "newest"] = Field(
        "off",
        description="newest: the stream stays on the bundle that serves it, and the newest one "
        "that is published answers the same windows in its shadow, for comparison only",
    )
    assets: tuple[str, ...] = Field(
        default=(),
        max_length=10_000,
        description="the assets whose messages are taken; empty: all",
    )
    disorder_ms: Annotated[int, Field(ge=0, le=3_600_000)] = Field(
        default=0,
        description="readings that arrive out of order by up to this time are put in order",
    )

    @model_validator(mode="after")
    def _order_is_that_of_the_source(self) -> Self:
        for number, source in enumerate(self.inputs):
            if self.disorder_ms and not source.is_timed:
                raise ValueError(
                    f"disorder_ms puts readings in the order of their source times, but "
                    f"inputs[{number}] names no timestamp: name its path, or leave disorder_ms out"
                )
        return self

    @property
    def output_topic(self) -> str:
        """The template of the output topic: as configured, else below the first input's asset."""
        if self.output.topic:
            return self.output.topic
        topic = self.inputs[0].topic
        if self.inputs[0].dialect == "sparkplug":
            # Its namespace has topics of Sparkplug alone.
            levels = [f"{{{name}}}" for name in self.inputs[0].level_names]
            return "/".join(["_inference", "{stream}", *levels])
        if TopicTemplate(topic).is_open:
            # The input takes every topic below the asset's levels, also those of predictions.
            slash = "/" if topic.startswith("/") else ""
            return f"{slash}_inference/{{stream}}/{topic.removeprefix('/')}"
        above, _, last = topic.rpartition("/")
        names_asset = last.startswith("{") and last != f"{{{SIGNAL}}}"
        base = topic if names_asset or not above else above
        return base + ("/{asset}" if self.inputs[0].names_asset else "") + "/_inference/{stream}"

    @property
    def is_of_blocks(self) -> bool:
        """Whether its inputs carry blocks of samples; either all of them do, or none."""
        return self.inputs[0].dialect == "block"

    @model_validator(mode="after")
    def _inputs_are_blocks_or_none_is(self) -> Self:
        dialects = [source.dialect for source in self.inputs]
        if any((dialect == "block") != self.is_of_blocks for dialect in dialects):
            raise ValueError(
                f"inputs are of dialects {', '.join(dialects)}: where one is block, all must be"
            )
        return self

    @model_validator(mode="after")
    def _levels_fit(self) -> Self:
        wanted = set(TopicTemplate(self.output_topic).names) - {"stream"}
        for number, source in enumerate(self.inputs):
            given = set(source.level_names)
            if wanted - given:
                raise ValueError(
                    f"output topic needs {sorted(wanted - given)}, which inputs[{number}].topic "
                    f"does not name; it names {sorted(given)}"
                )
            if self.overload != "block" and source.has_payload_names:
                raise ValueError(
                    f"overload {self.overload} keeps the newest message of each topic, but the "
                    f"messages of inputs[{number}].topic are of several assets or signals: use "
                    "overload block"
                )
        return self
