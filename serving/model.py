"""A bundle that has proven itself on this machine: what a program serves."""

from dataclasses import dataclass

from models.bundle.identity import BundleRef
from models.bundle.manifest import Manifest
from models.bundle.package import Bundle
from models.bundle.reference import Reference, read_reference
from serving.session import Session


@dataclass(frozen=True, slots=True)
class Model:
    """A model that has proven itself and may serve.

    Attributes:
        session: answers windows.
        sha256: of its bundle.
        reference: what drift is judged by; None where it is not.
    """

    session: Session
    sha256: str
    reference: Reference | None = None

    @property
    def ref(self) -> BundleRef:
        """The bundle that the model is from."""
        manifest = self.session.manifest
        return BundleRef(manifest.stream, manifest.seq, self.sha256, version=manifest.version)

    @property
    def manifest(self) -> Manifest:
        """What the model says of itself."""
        return self.session.manifest


def prove(bundle: Bundle) -> Model:
    """Build the session of a bundle, and have it answer the golden vectors.

    Blocks for as long as onnxruntime needs for the graph: not for the hot thread.

    Raises:
        BundleError: see `Session`, `Session.replay_golden` and `read_reference`.
    """
    session = Session(bundle)
    session.replay_golden(bundle.golden)
    reference = read_reference(bundle.reference, bundle.manifest.channels)
    return Model(session, bundle.sha256, reference)
