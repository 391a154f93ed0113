"""Whether the models that are kept on this gateway would serve: each is proven as `run` does it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.cli.answer import Answer
from agent.config.settings import Settings
from models.bundle.identity import BundleRef
from models.errors import BundleError
from serving.errors import TransientError
from serving.proof.prover import Prover
from serving.store import Store


def prove_kept(settings: Settings) -> Iterator[Answer]:
    """Try the kept bundles of each stream in the order of a start, until one is proven.

    The outcome is not recorded: what root wrote into the state folder, the service could not
    replace.
    """
    store = Store(settings.gateway.state_dir, settings.limits.keep_bundles)
    with TemporaryDirectory(prefix="millhand-check-") as folder:
        prover = Prover(Path(folder), settings.proof, settings.limits.max_batch)
        for pipeline in settings.pipelines:
            active = store.active(pipeline.stream)
            if active is not None:
                yield from _prove(store, prover, active.candidates)


def _prove(store: Store, prover: Prover, candidates: tuple[BundleRef, ...]) -> Iterator[Answer]:
    for ref in candidates:
        name = f"model {ref.stream} seq {ref.seq}"
        try:
            store.load(ref)
            _, slow = prover.prove(ref.sha256, store.path(ref), threading.Event())
        except (BundleError, TransientError) as exc:
            yield Answer("warn", f"{name} would be passed over: {exc} ({exc.code})")
        else:
            if slow is not None:
                yield Answer("warn", f"{name} is slow: {slow} ({slow.code})")
            yield Answer("ok", f"{name} answers its golden windows as it shall: it would serve")
            return
    stream = candidates[0].stream
    yield Answer("FAIL", f"no kept model of {stream} would serve: push one that is sound")
