"""The contract between a model and the operator's topics, checked before a model is activated."""

from hashlib import blake2b

from models.bundle.manifest import Manifest
from models.errors import IncompatibleBundleError
from models.input.memory import Memories
from models.input.pipeline import Pipeline
from models.input.routes import Routes


class Binder(Routes):
    """The routes of one pipeline for one model; raises if the two do not fit.

    Args:
        settings: the pipeline's topics and signals, as the operator configured them.
        manifest: the manifest of the model, of which its signals and its window count here.
        memories: what the inputs have learned from messages; if omitted, nothing yet.

    Raises:
        IncompatibleBundleError: no input carries one of the signals, a signal is bound that the
            model does not read, or the model cannot be fed blocks. The message names both sides.
    """

    def __init__(
        self, settings: Pipeline, manifest: Manifest, memories: Memories | None = None
    ) -> None:
        names = [channel.name for channel in manifest.channels]
        codes = {channel.name: channel.codes for channel in manifest.channels if channel.codes}
        super().__init__(settings, names, codes, memories)
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
    """Refuse a model that was trained on windows that cannot be cut from blocks (ADR 11)."""
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
            f"{manifest.stream}#{manifest.seq} has {', '.join(found)}, but inputs of dialect block "
            "carry every sample at a fixed period: train it on such windows, or bind other inputs"
        )


def fingerprint(settings: Pipeline, manifest: Manifest) -> str:
    """Digest of everything that decides how messages become windows.

    Where it is equal, the same messages make the same windows, so state that was kept still fits.
    The output and labels are left out: where predictions go, and what is heard of them later, does
    not change a window.
    """
    reading = settings.model_dump_json(exclude={"output", "labels"})
    channels = [channel.model_dump_json() for channel in manifest.channels]
    content = "\0".join((reading, manifest.window.model_dump_json(), *channels))
    return blake2b(content.encode(), digest_size=16).hexdigest()
