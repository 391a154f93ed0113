"""`millhand-agent models`: the bundles in quarantine, and how they may serve again."""

from agent.config.settings import Settings
from serving.errors import ConfigError
from serving.incidents.quarantine import Quarantine


def list_quarantined(settings: Settings) -> list[str]:
    """A line for each bundle in quarantine: which, since when, and why."""
    return [
        f"{one.stream}  seq {one.seq}  {one.version}  {one.sha256[:12]}  in quarantine since"
        f" {one.time}: {one.message} ({one.code})"
        for one in _quarantine(settings).bundles()
    ]


def clear(settings: Settings, bundle: str) -> list[str]:
    """Let bundles in quarantine serve again, and say which; `bundle` is `stream` or `stream#seq`.

    Raises:
        ConfigError: none of them is in quarantine, or the file cannot be written.
    """
    stream, _, seq = bundle.partition("#")
    try:
        cleared = _quarantine(settings).clear(stream, int(seq) if seq else None)
    except ValueError:
        raise ConfigError(f"'{bundle}' is neither a stream nor STREAM#SEQ") from None
    except OSError as exc:
        raise ConfigError(f"{settings.gateway.state_dir}: {exc.strerror}") from exc
    if not cleared:
        raise ConfigError(f"'{bundle}' is not in quarantine; see: millhand-agent models")
    return [
        f"{one.stream}#{one.seq} may serve again, from the next poll or push" for one in cleared
    ]


def _quarantine(settings: Settings) -> Quarantine:
    """The bundles in quarantine on this gateway."""
    return Quarantine(settings.gateway.state_dir / "quarantine.json")
