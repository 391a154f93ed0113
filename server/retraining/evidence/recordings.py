"""The recordings that a recipe names, as far as a server can tell that it has some.

The server reads no recording, and trains nothing: it looks which files there are. What a recipe
means is up to the trainer, so only `bundle.stream` and `[data]` are read of it here.
"""

import glob
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from server.retraining.errors import RetrainingError
from server.retraining.proposal import MAX_NAMED, Recordings
from server.retraining.settings import RetrainedStream

MAX_FILES: Final = 100_000
"""Files of recordings that are looked at."""
_MAX_RECIPE_BYTES: Final = 1 << 20
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


def recordings_of(wanted: RetrainedStream, since: datetime | None) -> Recordings:
    """What the recipe of a stream would be trained on.

    Args:
        wanted: the settings of the stream.
        since: when the bundle that serves was made; None where none does.

    Raises:
        RetrainingError: `recipe_unreadable`, `no_recordings` or `few_recordings`.
    """
    section = _data(wanted)
    named = section.get("files", [])
    if not named and "sql" in section:
        return Recordings()
    patterns = _absolute(wanted.recipe, [named] if isinstance(named, str) else named)
    found = list(_stats(patterns))
    if not found:
        raise RetrainingError(
            "no_recordings",
            f"there is no file of what {wanted.recipe} names, such as {patterns[0]}: have "
            "millhand-trainer record write there, or correct files of [data]",
        )
    oldest_s = since.timestamp() if since is not None else 0.0
    newer = sum(one.st_mtime > oldest_s for one in found)
    if newer < wanted.min_recordings:
        raise RetrainingError(
            "few_recordings",
            f"{newer} of the {len(found)} files that {wanted.recipe} names are newer than the "
            f"bundle that serves, and min_recordings of the stream is {wanted.min_recordings}: "
            "wait until more was recorded, or lower it",
        )
    return Recordings(
        named=patterns[:MAX_NAMED],
        files=len(found),
        size_bytes=sum(one.st_size for one in found),
        newer=newer,
        newest=datetime.fromtimestamp(max(one.st_mtime for one in found), UTC),
    )


def _data(wanted: RetrainedStream) -> Mapping[str, Any]:
    path = wanted.recipe
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_RECIPE_BYTES)  # what is cut off is no TOML, or has no data
        recipe = tomllib.loads(content.decode())
        stream, data = recipe["bundle"]["stream"], recipe["data"]
        rows = data["files"] if "sql" not in data else data["sql"]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        why = f"it has no {exc}" if isinstance(exc, KeyError) else str(exc)
        raise RetrainingError(
            "recipe_unreadable",
            f"{path} is no recipe that can be used: {why}; millhand-trainer train names each "
            "mistake",
        ) from exc
    if stream != wanted.stream:
        raise RetrainingError(
            "recipe_unreadable",
            f"{path} is a recipe of {stream!r:.80}, and the settings name it for "
            f"'{wanted.stream}': name another recipe, or correct bundle.stream",
        )
    if not rows:
        raise RetrainingError(
            "recipe_unreadable", f"{path}: files of [data] is empty: name the recordings there"
        )
    return dict(data)


def _absolute(recipe: Path, named: object) -> tuple[str, ...]:
    """Patterns as the trainer reads them: relative to the recipe's folder, with variables."""
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
        raise RetrainingError(
            "recipe_unreadable", f"{recipe}: files of [data] must be a list of texts"
        )
    if missing := sorted(
        {one for text in named for one in _VARIABLE.findall(text)} - {*os.environ}
    ):
        raise RetrainingError(
            "recipe_unreadable",
            f"{recipe} needs the environment variable {', '.join(missing)}: set it for the server",
        )
    filled = (_VARIABLE.sub(lambda match: os.environ[match[1]], one) for one in named)
    return tuple(str(recipe.absolute().parent / one) for one in filled)


def _stats(patterns: tuple[str, ...]) -> Iterator[os.stat_result]:
    seen: set[str] = set()
    for pattern in patterns:
        for name in glob.iglob(pattern, recursive=True):  # noqa: PTH207  an absolute pattern
            if name in seen or len(seen) >= MAX_FILES:
                continue
            seen.add(name)
            try:
                one = Path(name).stat()
            except OSError:  # it was removed meanwhile
                continue
            if Path(name).is_file():
                yield one
