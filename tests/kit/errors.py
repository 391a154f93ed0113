"""The one error of the kit."""


class KitError(AssertionError):
    """A program, a connection or a condition that was waited for did not come about.

    It is an AssertionError, so that a test, or a trial of `make chaos`, fails by it. The demo and
    the benchmarks print it and end.
    """
