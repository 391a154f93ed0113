"""The contract between a model and the operator's topics, checked before a model is activated."""

from hashlib import blake2b

from models.bundle.manifest import Manifest
from models.errors import IncompatibleBundleError
from models.input.pipeline import Pipeline
from models.input.routes import Routes


class Binder(Routes):
    """Routes of one pipeline for one model.

    Args:
        settings: the operator's topics and signals.
        manifest: the model's channels.

    Raises:
        IncompatibleBundleError: a channel that no input carries, a signal that no channel is, or
            a model that cannot be fed blocks; the message names both sides.
    """

    def __init__(self, settings: Pipeline, manifest: Manifest) -> None:
        names = [channel.name for channel in manifest.channels]
        super().__init__(settings, names)
        wanted = f"{manifest.stream}#{manifest.seq} reads {names}"
        if self.carried - set(names):
            strange = sorted(self.carried - set(names))
            raise IncompatibleBundleError(
                f"{wanted}; signals {strange} are bound and not among them"
            )
        if set(names) - self.carried:
            without = sorted(set(names) - self.carried)
            raise IncompatibleBundleError(
                f"{wanted}; no input carries {without}: bind them in signals"
            )
        if settings.is_of_blocks:
            _check_takes_blocks(manifest)


def _check_takes_blocks(manifest: Manifest) -> None:
    """Refuse a model of which blocks cannot make the windows it was trained on."""
    window = manifest.window
    found = [f"max_age_ms of {one.name}" for one in manifest.channels if one.max_age_ms is not None]
    if window.trigger != "all_fresh":
        found.append(f"window.trigger {window.trigger}")
    if window.sample_period_ms is None:
        found.append("no window.sample_period_ms")
    elif window.max_gap_ms is not None and window.max_gap_ms < window.sample_period_ms:
        found.append("window.max_gap_ms below window.sample_period_ms")
    if found:
        raise IncompatibleBundleError(
            f"{manifest.stream}#{manifest.seq} has {', '.join(found)}; inputs of dialect block "
            "bring every sample of a known period: train it so, or bind other inputs"
        )


def fingerprint(settings: Pipeline, manifest: Manifest) -> str:
    """Of all that makes windows of messages: what is equal here cuts the same windows."""
    reading = settings.model_dump_json(exclude={"output"})
    channels = [channel.model_dump_json() for channel in manifest.channels]
    content = "\0".join((reading, manifest.window.model_dump_json(), *channels))
    return blake2b(content.encode(), digest_size=16).hexdigest()
