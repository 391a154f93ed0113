"""The bundles that are kept on a machine: which serve, and which must not."""

from collections.abc import Sequence
from pathlib import Path

from models.errors import BundleError
from serving.errors import ConfigError
from serving.incidents.quarantine import Quarantine
from serving.store import Store


def list_models(store: Store, streams: Sequence[str]) -> list[str]:
    """What every stream serves and keeps, each bundle read and verified anew."""
    lines: list[str] = []
    for stream in streams:
        record = store.active(stream)
        if record is None:
            lines.append(f"{stream}  nothing kept; waits for a push or a poll")
            continue
        pinned = "follows the newest" if record.pinned is None else f"pinned to {record.pinned}"
        for kept in record.candidates:
            role = f"active, {pinned}" if kept == record.serving else "kept"
            try:
                store.load(kept)
            except BundleError as exc:
                role += f", DAMAGED: {exc}"
            lines.append(f"{stream}  seq {kept.seq}  {kept.version}  {kept.sha256[:12]}  {role}")
    return lines


def list_quarantined(state_dir: Path) -> list[str]:
    """A line for each bundle in quarantine: which, since when, and why."""
    return [
        f"{one.stream}  seq {one.seq}  {one.version}  {one.sha256[:12]}  in quarantine since"
        f" {one.time}: {one.message} ({one.code})"
        for one in _quarantine(state_dir).bundles()
    ]


def clear(state_dir: Path, bundle: str, command: str) -> list[str]:
    """Let bundles in quarantine serve again, and say which.

    Args:
        state_dir: state folder of the program.
        bundle: `stream` or `stream#seq`.
        command: the command that lists what is in quarantine, for the message of an error.

    Raises:
        ConfigError: none of them is in quarantine, or the file cannot be written.
    """
    stream, _, seq = bundle.partition("#")
    try:
        cleared = _quarantine(state_dir).clear(stream, int(seq) if seq else None)
    except ValueError:
        raise ConfigError(f"'{bundle}' is neither a stream nor STREAM#SEQ") from None
    except OSError as exc:
        raise ConfigError(f"{state_dir}: {exc.strerror}") from exc
    if not cleared:
        raise ConfigError(f"'{bundle}' is not in quarantine; see: {command}")
    return [
        f"{one.stream}#{one.seq} may serve again, from the next poll or push" for one in cleared
    ]


def _quarantine(state_dir: Path) -> Quarantine:
    """The bundles in quarantine on this machine."""
    return Quarantine(state_dir / "quarantine.json")
