"""A model that has passed its golden vectors on this machine: what a program serves."""

from dataclasses import dataclass, replace
from time import perf_counter_ns
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.bundle.golden import read_golden
from models.bundle.identity import BundleRef
from models.bundle.manifest import Manifest
from models.bundle.package import StoredBundle
from models.bundle.reference import Document, Reference, read_document
from models.errors import BundleError
from serving import log
from serving.explanation.explainer import Explainer
from serving.runtime.device import CPU, Device
from serving.session import Session

_TIMED_RUNS: Final = 5


@dataclass(frozen=True, slots=True)
class Model:
    """A model that has passed its golden vectors on this machine, and may serve.

    Attributes:
        session: session of onnxruntime that answers windows.
        sha256: digest of its bundle, 64 hexadecimal digits.
        reference: distributions and limits that drift is measured against; None if the bundle has
            no limits, so that drift is not watched.
        explainer: tells which signals an answer is due to; None if the bundle does not say how.
        document: the reference without what it says of the signals; None if the bundle has none.
    """

    session: Session
    sha256: str
    reference: Reference | None = None
    explainer: Explainer | None = None
    document: Document | None = None

    @property
    def ref(self) -> BundleRef:
        """Reference to the bundle that the model was loaded from."""
        manifest = self.session.manifest
        return BundleRef(manifest.stream, manifest.seq, self.sha256, version=manifest.version)

    @property
    def manifest(self) -> Manifest:
        """Manifest of the bundle."""
        return self.session.manifest


def prove(bundle: StoredBundle, device: Device = CPU) -> Model:
    """Build the session of a bundle, and compare its answers with the golden vectors.

    It blocks until onnxruntime has built the graph, which may take seconds: not for the hot thread.
    On a device other than the processor, one window is timed on both, and the log says the times.

    Args:
        bundle: bundle whose digests were verified; whether it is trusted is the caller's to know.
        device: device that the model is to run on. Where it may fall back, the processor takes a
            model that is refused on it; `Model.session.device` says so.

    Raises:
        BundleError: the bundle must not serve; see `Session`, `Session.replay_golden` and
            `read_document`. The model that serves now goes on.
    """
    session = _session(bundle, device)
    document = read_document(bundle.reference, bundle.manifest.channels)
    reference = None
    if document is not None:
        reference, document = Reference.of(document), document.model_copy(update={"signals": {}})
    return Model(session, bundle.sha256, reference, explainer_of(bundle), document)


def explainer_of(bundle: StoredBundle) -> Explainer | None:
    """What explains the answers of a bundle's model; None where the bundle does not say how.

    Raises:
        BundleError: the golden vectors cannot be read.
    """
    manifest = bundle.manifest
    if manifest.explain is None:
        return None
    reference = read_golden(bundle.golden, manifest).windows[manifest.explain.reference]
    names = [str(channel.name) for channel in manifest.channels]
    offsets = [channel.offset for channel in manifest.channels]
    return Explainer(manifest.explain, names, reference.copy(), offsets)


def _session(bundle: StoredBundle, device: Device) -> Session:
    """A session that has answered the golden windows."""
    try:
        session = Session(bundle, device, is_shared=True)
        error = session.replay_golden(bundle.golden)
    except BundleError as exc:
        if device.is_cpu:
            raise
        message = f"{bundle.ref} on the device '{device.name}': {exc}"
        if not device.may_fall_back:
            hint = 'inference.fallback = "cpu" lets the processor take such models'
            raise type(exc)(f"{message}; {hint}") from exc
        log.warning("model falls back to the processor", reason=message)
        return _session(bundle, replace(CPU, reason=message))
    if not device.is_cpu:
        _tell_times(bundle, session, error)
    return session


def _tell_times(bundle: StoredBundle, session: Session, error: float) -> None:
    """Log how long the device takes for one window, and how long the processor does."""
    window = read_golden(bundle.golden, bundle.manifest).windows[:1]
    processor = Session(bundle, is_shared=True)
    device_ms, cpu_ms = (_fastest_ms(one, window) for one in (session, processor))
    log.info(
        "device timed",
        stream=bundle.manifest.stream,
        seq=bundle.manifest.seq,
        device=session.device.name,
        device_ms=round(device_ms, 3),
        cpu_ms=round(cpu_ms, 3),
        golden_error=error,
    )


def _fastest_ms(session: Session, window: NDArray[np.float32]) -> float:
    taken_ns = []
    for _ in range(_TIMED_RUNS):
        begun_ns = perf_counter_ns()
        session.run(window)
        taken_ns.append(perf_counter_ns() - begun_ns)
    return min(taken_ns) / 1e6
