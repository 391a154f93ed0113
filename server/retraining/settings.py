"""The settings of retraining: `[retraining]` and `[[retraining.streams]]`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from models.bundle.manifest import Name
from models.settings import Count, Seconds, Section

TRAIN: Final = (
    "millhand-trainer",
    "train",
    "{recipe}",
    "--out",
    "{folder}",
    "--seq",
    "{seq}",
    "--champion",
    "{champion}",
    "--outcome",
    "{outcome}",
)
"""The command that trains, where the settings name no other."""
_FIELDS: Final = frozenset({"recipe", "folder", "seq", "champion", "outcome", "stream", "id"})
_FIELDS_OF_PUBLISH: Final = frozenset({"plan", "bundle", "folder", "seq", "stream", "id"})
Argument = Annotated[str, Field(min_length=1, max_length=4096)]
Command = Annotated[tuple[Argument, ...], Field(max_length=100)]


class RetrainedStream(Section):
    """A stream whose model may be trained again.

    Attributes:
        stream: name of the stream.
        recipe: the recipe. What its `[data]` names are the recordings.
        plan: a plan of a rollout without `id`, `stream`, `seq` and `deadline`, which are filled in
            for each bundle; None leaves the plan to a person.
        drift_after_s: seconds for which a gateway has said, without a pause, that there is drift;
            None: drift causes no proposal.
        drift_gateways: gateways of which this must be true at the same time.
        labels_after: late labels that were compared with the bundle that serves, on all gateways
            together; None: labels cause no proposal.
        min_recordings: files of recordings that must be newer than the bundle that serves.
    """

    stream: Name
    recipe: Path
    plan: Path | None = None
    drift_after_s: Seconds | None = None
    drift_gateways: Annotated[int, Field(ge=1, le=10_000)] = 1
    labels_after: Count | None = None
    min_recordings: Annotated[int, Field(ge=0, le=100_000)] = 1


class Retraining(Section):
    """When models are to be trained again, and how. Without this section nothing is proposed.

    Attributes:
        streams: the streams whose models may be trained again.
        auto: who says yes to a proposal: `no` waits for a person; `shadow` accepts each by itself,
            for bundles that a rollout tries in the shadow first.
        command: program and arguments that train. `{recipe}`, `{folder}`, `{seq}`, `{champion}`,
            `{outcome}`, `{stream}` and `{id}` are filled in; no shell reads them.
        publish: program and arguments that sign and publish plan and bundle, with a key of their
            own; `{plan}`, `{bundle}`, `{folder}`, `{seq}`, `{stream}` and `{id}` are filled in.
            Empty leaves it to a person.
        answer_s: seconds after which a proposal that nobody has answered expires; so does a trained
            bundle that nobody has published.
        quiet_s: seconds between the end of a proposal and the next one of the same stream.
        silent_s: seconds without counters of a gateway after which its drift counts anew.
        look_s: seconds between two looks at everything.
        train_s: seconds that a training may take; beyond, it is ended.
        publish_s: seconds that publishing may take; beyond, it is ended.
        rollout_s: seconds from the publication to the deadline of the rollout.
        memory_bytes: bytes of memory of each process of a command; an allocation beyond fails.
        file_bytes: bytes of each file that a command writes.
        output_bytes: bytes of the output of a command that are kept, the last ones.
        nice: by how much commands yield to other programs, from 0 to 19.
        tries: how often a training is begun that the end of the server has interrupted.
        max_proposals: proposals that are kept with all their files; beyond, the oldest that are
            over go.
        max_gateways: gateways that are known; further ones are left out.
    """

    streams: Annotated[tuple[RetrainedStream, ...], Field(min_length=1, max_length=64)]
    auto: Literal["no", "shadow"] = "no"
    command: Annotated[Command, Field(min_length=1)] = TRAIN
    publish: Command = ()
    answer_s: Seconds = 7 * 86_400.0
    quiet_s: Annotated[float, Field(ge=0, le=366 * 86_400)] = 86_400.0
    silent_s: Seconds = 600.0
    look_s: Annotated[float, Field(ge=0.1, le=60)] = 2.0
    train_s: Seconds = 7200.0
    publish_s: Seconds = 300.0
    rollout_s: Seconds = 14 * 86_400.0
    memory_bytes: Annotated[int, Field(ge=64 << 20, le=1 << 42)] = 8 << 30
    file_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 40)] = 1 << 30
    output_bytes: Annotated[int, Field(ge=1024, le=16 << 20)] = 64 << 10
    nice: Annotated[int, Field(ge=0, le=19)] = 15
    tries: Annotated[int, Field(ge=1, le=10)] = 2
    max_proposals: Annotated[int, Field(ge=2, le=10_000)] = 100
    max_gateways: Annotated[int, Field(ge=1, le=100_000)] = 10_000

    @property
    def by_stream(self) -> Mapping[str, RetrainedStream]:
        """The streams by their names."""
        return {one.stream: one for one in self.streams}

    @property
    def files(self) -> Mapping[str, Path | None]:
        """Files that must be readable by the key that names them; None where none is named."""
        return {
            f"retraining.streams.{key}": path
            for one in self.streams
            for key, path in (
                (f"{one.stream}.recipe", one.recipe),
                (f"{one.stream}.plan", one.plan),
            )
        }

    @model_validator(mode="after")
    def _streams_differ(self) -> Self:
        names = [one.stream for one in self.streams]
        if repeated := sorted({one for one in names if names.count(one) > 1}):
            raise ValueError(f"each stream is named once; repeated: {repeated}")
        return self

    @model_validator(mode="after")
    def _commands_can_be_filled_in(self) -> Self:
        for name, command, fields in (
            ("command", self.command, _FIELDS),
            ("publish", self.publish, _FIELDS_OF_PUBLISH),
        ):
            filled = dict.fromkeys(fields, "")
            for argument in command:
                try:
                    argument.format_map(filled)
                except (KeyError, ValueError, IndexError, AttributeError) as exc:
                    allowed = ", ".join(f"{{{one}}}" for one in sorted(fields))
                    raise ValueError(
                        f"{name} has {argument[:100]!r}; allowed in braces are {allowed}, and "
                        "braces that stay are doubled"
                    ) from exc
        return self
