"""The demo's one error."""


class DemoError(Exception):
    """The demo cannot go on: a part did not start, did not finish, died or spoke nonsense."""
