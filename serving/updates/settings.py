"""Settings of updates: which bundles a stream may be brought to, and when one has proven itself."""

from models.settings import Seconds, Section


class Updates(Section):
    """How the bundles of the streams are changed.

    Attributes:
        allow_downgrade: whether a `desired` document may select a bundle that is older than one
            that has served here. If not, the newer ones have to be revoked first.
        healthy_s: seconds of undisturbed work after which earlier deaths of the agent are no longer
            counted against its models, and after which a bundle that a rollout has brought is no
            longer on probation.
        hint_s: seconds between two looks into the registry that the broker's word of a rollout may
            bring forward, and over which the gateways of a fleet spread such a look.
    """

    allow_downgrade: bool = False
    healthy_s: Seconds = 60.0
    hint_s: Seconds = 10.0
