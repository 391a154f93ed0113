"""What a configuration says that cannot be meant, although each key is right, for `check`.

Nothing of this keeps the agent from starting: what else is configured works.
"""

from collections.abc import Iterator

from agent.config.settings import Settings
from models.input.pipeline import Pipeline
from models.input.source import Input
from models.input.topics import TopicTemplate
from serving.preflight.answer import Answer


def find_contradictions(settings: Settings) -> list[Answer]:
    """Inputs that are never read, assets that no topic has, and signals that never meet."""
    return [
        answer
        for number, pipeline in enumerate(settings.pipelines)
        for answer in _of(f"pipelines[{number}]", pipeline)
    ]


def _of(where: str, pipeline: Pipeline) -> Iterator[Answer]:
    yield from _unread(where, pipeline)
    yield from _strange_assets(where, pipeline)
    yield from _apart(where, pipeline)


def _unread(where: str, pipeline: Pipeline) -> Iterator[Answer]:
    """Inputs whose messages are all taken by another one, as `Routes.route` has it."""
    first: dict[str, int] = {}
    for place, source in enumerate(pipeline.inputs):
        other = first.setdefault(source.filter, place)
        shares = source.is_of_tags and pipeline.inputs[other].is_of_tags
        if other != place and not shares:
            yield Answer(
                "FAIL",
                f"{where}.inputs[{place}].topic: inputs[{other}] has the same topics and takes "
                "every message on them, so this input never gets one: bind its signals in "
                f"inputs[{other}], or give it a pipeline of its own",
            )


def _strange_assets(where: str, pipeline: Pipeline) -> Iterator[Answer]:
    """Listed assets that have another number of levels than any topic."""
    strange = [
        asset
        for asset in pipeline.assets
        if not any(_may_have(source, asset, pipeline.stream) for source in pipeline.inputs)
    ]
    if not strange:
        return
    more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
    named = dict.fromkeys(_shown(one.level_names) for one in pipeline.inputs)
    yield Answer(
        "warn",
        f"{where}.assets: no message can be of '{strange[0]}'{more}: the assets of its inputs are "
        f"{' or '.join(named)}; list them as predictions have them",
    )


def _may_have(source: Input, asset: str, stream: str) -> bool:
    """Whether a message of an input can be of an asset."""
    if not source.level_names:
        return asset == stream
    levels, wanted = asset.split("/"), len(source.level_names)
    is_open = TopicTemplate(source.topic).is_open
    return all(levels) and (len(levels) >= wanted if is_open else len(levels) == wanted)


def _apart(where: str, pipeline: Pipeline) -> Iterator[Answer]:
    """Inputs whose signals are never in one sample, as their assets have other levels."""
    bound: dict[tuple[str, ...], set[str]] = {}
    places: dict[tuple[str, ...], int] = {}
    for place, source in enumerate(pipeline.inputs):
        bound.setdefault(source.level_names, set()).update(source.signals or {""})
        places.setdefault(source.level_names, place)
    wanted = set().union(*bound.values()) - {""}
    for levels, names in bound.items():
        if "" in names or names >= wanted:  # without a table an input has all signals
            continue
        others = next(one for one in bound if one != levels)
        yield Answer(
            "warn",
            f"{where}.inputs[{places[levels]}].topic: its assets are {_shown(levels)}, those of "
            f"inputs[{places[others]}] {_shown(others)}, so no sample has the signals of both: "
            "name the same levels in the same order",
        )


def _shown(levels: tuple[str, ...]) -> str:
    return "/".join(f"{{{name}}}" for name in levels) or "named as the stream"
