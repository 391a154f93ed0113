"""Whether the models that are kept on a machine would serve: each is proven as `run` does it."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from models.bundle.identity import BundleRef
from models.errors import BundleError
from serving.errors import TransientError
from serving.preflight.answer import Answer
from serving.proof.prover import Prover
from serving.proof.settings import Proof
from serving.store import Store


def prove_kept(
    store: Store, streams: Sequence[str], proof: Proof, max_batch: int
) -> Iterator[Answer]:
    """Try the kept bundles of each stream in the order of a start, until one is proven.

    The outcome is not recorded: what root wrote into the state folder, the service could not
    replace.

    Args:
        store: where the bundles are kept.
        streams: streams whose bundles are tried.
        proof: limits of the child process in which they are tried.
        max_batch: windows of the largest batch that the program runs.
    """
    with TemporaryDirectory(prefix="millhand-check-") as folder:
        prover = Prover(Path(folder), proof, max_batch)
        for stream in streams:
            active = store.active(stream)
            if active is not None:
                yield from _prove(store, prover, active.candidates)


def _prove(store: Store, prover: Prover, candidates: Sequence[BundleRef]) -> Iterator[Answer]:
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
