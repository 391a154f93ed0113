"""Whether the models that are kept on this gateway would serve: each is proven as `run` does it."""

from collections.abc import Iterator

from agent.cli.answer import Answer
from agent.config.settings import Settings
from models.bundle.identity import BundleRef
from models.errors import BundleError
from serving.model import prove
from serving.store import Store


def prove_kept(settings: Settings) -> Iterator[Answer]:
    """Try the kept bundles of each stream in the order of a start, until one is proven."""
    store = Store(settings.gateway.state_dir, settings.limits.keep_bundles)
    for pipeline in settings.pipelines:
        active = store.active(pipeline.stream)
        if active is not None:
            yield from _prove(store, active.candidates)


def _prove(store: Store, candidates: tuple[BundleRef, ...]) -> Iterator[Answer]:
    for ref in candidates:
        name = f"model {ref.stream} seq {ref.seq}"
        try:
            prove(store.load(ref))
        except BundleError as exc:
            yield Answer("warn", f"{name} would be passed over: {exc} ({exc.code})")
        else:
            yield Answer("ok", f"{name} answers its golden windows as it shall: it would serve")
            return
    stream = candidates[0].stream
    yield Answer("FAIL", f"no kept model of {stream} would serve: push one that is sound")
