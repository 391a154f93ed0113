"""What a list of tags has of those that its input is bound to, for `why`, and what else it has."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from agent.cli.places import nearest, nearest_text, places
from models.errors import DecodeError
from models.input.codecs.paths import Path, finder, rendered, single
from models.input.codecs.qualities import allowed_qualities
from models.input.naming import text_of
from models.input.source import Input
from models.input.tags.decoder import TagsDecoder
from models.input.tags.form import Tag

_MAX_NAMES: Final = 20
_MAX_CHARACTERS: Final = 80
_SIGNS: Final = frozenset(("/", ":", "."))
"""What stands between asset and signal in the names of most products."""


def describe_tags(source: Input, names: Sequence[str], payload: bytes) -> Iterator[str]:
    """Lines about the tags of a payload; none where it cannot be read at all.

    Args:
        source: the input that the payload belongs to, which reads lists of tags.
        names: names of the signals, in the order of the model.
        payload: the payload of the message.
    """
    try:
        tags = list(TagsDecoder(source, [], []).tags(payload))
    except DecodeError:
        return
    found = list(dict.fromkeys(tag.name for tag in tags))
    yield "  the payload"
    yield from dict.fromkeys(_describe_ways(source))
    if source.asset:
        yield from _describe_assets(source.asset, tags)
    bound = {name: source.signals.get(name, name) for name in names}
    own = {tag: _own(source, tag) for tag in found}
    for name, tag in bound.items():
        if tag in own.values():
            continue
        yield f"    {name} at tag {_shown(tag)}: not there"
        yield from _nearest(tag, list(own.values()))
    others = [tag for tag in found if own[tag] not in bound.values()]
    if others:
        more = f" and {len(others) - _MAX_NAMES} more" if len(others) > _MAX_NAMES else ""
        yield f"    not bound: {', '.join(map(_shown, others[:_MAX_NAMES]))}{more}"


def _nearest(tag: str, found: Sequence[str]) -> Iterator[str]:
    """The tags whose names end with that which is missing, or the one that is spelt alike."""
    divided = [one for one in found if one.endswith(tag) and one[: -len(tag)][-1:] in _SIGNS]
    if divided:
        sign = divided[0][: -len(tag)][-1]
        yield (
            f"      name_separator = {_shown(sign)} reads it of "
            f"{', '.join(map(_shown, divided[:_MAX_NAMES]))}; the asset is what stands before it"
        )
    elif (close := nearest_text(tag, set(found))) is not None:
        yield f"      nearest: {_shown(close)}"


def _describe_ways(source: Input) -> Iterator[str]:
    """Where the tags have a time and a quality, and what is read there."""
    for form in source.forms:
        if places := _places(form.layout.timestamp, form.timestamp):
            yield f"    timestamp at {places} ({form.timestamp_unit})"
        if places := _places(form.layout.quality, form.quality):
            yield f"    quality at {places}: read are {allowed_qualities(form.quality_map)}"


def _describe_assets(path: str, tags: Sequence[Tag]) -> Iterator[str]:
    """What stands at the path of the asset, in the tags or beside them."""
    steps = single(path)
    given = [_at(part, steps) for tag in tags for part in (tag.item, tag.group)]
    if found := list(dict.fromkeys(text for one in given if (text := text_of(one)))):
        more = f" and {len(found) - _MAX_NAMES} more" if len(found) > _MAX_NAMES else ""
        yield f"    asset at {path}: {', '.join(map(_shown, found[:_MAX_NAMES]))}{more}"
        return
    yield f"    asset at {path}: nothing there"
    for tag in tags[:1]:
        for part, where in ((tag.item, "of the tag"), (tag.group, "beside the tags")):
            instead = nearest(part, steps, places(part))
            if instead is not None:
                yield f"      nearest, {where}: {json.dumps(rendered(instead))}"
                return


def _at(part: object, path: Path) -> object:
    """What stands at a path; None also where it cannot be told what it is."""
    try:
        return finder(path)(part)
    except DecodeError:
        return None


def _places(of_tag: str | tuple[str, ...], of_part: str) -> str:
    """In each tag, or beside the tags."""
    own = of_tag if isinstance(of_tag, str) else " or ".join(of_tag)
    places = ((own, "of each tag"), (of_part, "beside the tags"))
    return ", or ".join(f"{path} {where}" for path, where in places if path)


def _own(source: Input, tag: str) -> str:
    """The name of a tag without that of its asset."""
    return tag.rpartition(source.name_separator)[2] if source.name_separator else tag


def _shown(name: str) -> str:
    """As JSON writes text: what a message contains must not steer a terminal."""
    return json.dumps(name[:_MAX_CHARACTERS])
