"""The one error of the demo."""

from tests.kit.errors import KitError


class DemoError(KitError):
    """The demo cannot go on: something is missing, or the agent published what it should not."""
