"""Bundles beside the one that serves, as `current` lists them."""

from models.bundle.manifest import Sha256
from models.control.document import Activity, Document, Message, Seq


class QuarantinedBundle(Document):
    """A bundle that must not serve on the gateway again, until a person clears it.

    Attributes:
        seq: number of the bundle.
        sha256: digest of the bundle.
        code: `failed` on live windows, or `killed` the agent.
    """

    seq: Seq
    sha256: Sha256
    code: str


class ShadowBundle(Document):
    """A bundle in the shadow of the one that serves: it answers the same windows unheard.

    Attributes:
        seq: number of the bundle.
        version: its semantic version, for people.
        sha256: digest of the bundle.
        activity: of the push that selected it; empty if none did.
        gate: code of the gate that has ended its trial; empty while it goes on.
        message: the same in words.
    """

    seq: Seq
    version: str = ""
    sha256: Sha256
    activity: Activity = ""
    gate: str = ""
    message: Message = ""
