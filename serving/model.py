"""A model that has passed its golden vectors on this machine: what a program serves."""

from dataclasses import dataclass

from models.bundle.identity import BundleRef
from models.bundle.manifest import Manifest
from models.bundle.package import StoredBundle
from models.bundle.reference import Reference, read_reference
from serving.session import Session


@dataclass(frozen=True, slots=True)
class Model:
    """A model that has passed its golden vectors on this machine, and may serve.

    Attributes:
        session: session of onnxruntime that answers windows.
        sha256: digest of its bundle, 64 hexadecimal digits.
        reference: distributions and limits that drift is measured against; None if the bundle has
            no limits, so that drift is not watched.
    """

    session: Session
    sha256: str
    reference: Reference | None = None

    @property
    def ref(self) -> BundleRef:
        """Reference to the bundle that the model was loaded from."""
        manifest = self.session.manifest
        return BundleRef(manifest.stream, manifest.seq, self.sha256, version=manifest.version)

    @property
    def manifest(self) -> Manifest:
        """Manifest of the bundle."""
        return self.session.manifest


def prove(bundle: StoredBundle) -> Model:
    """Build the session of a bundle, and compare its answers with the golden vectors.

    It blocks until onnxruntime has built the graph, which may take seconds: not for the hot thread.

    Args:
        bundle: bundle whose digests were verified; whether it is trusted is the caller's to know.

    Raises:
        BundleError: the bundle must not serve; see `Session`, `Session.replay_golden` and
            `read_reference`. The model that serves now goes on.
    """
    session = Session(bundle)
    session.replay_golden(bundle.golden)
    reference = read_reference(bundle.reference, bundle.manifest.channels)
    return Model(session, bundle.sha256, reference)
