"""The bundles that are kept on a machine: which serve, which would, and which must not."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from models.bundle.identity import BundleRef
from models.errors import BundleError
from serving.errors import ConfigError, TransientError
from serving.incidents.quarantine import Quarantine
from serving.preflight.answer import Answer
from serving.proof.prover import Prover
from serving.proof.settings import Proof
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


def _quarantine(state_dir: Path) -> Quarantine:
    """The bundles in quarantine on this machine."""
    return Quarantine(state_dir / "quarantine.json")
