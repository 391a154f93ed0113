"""The one error of the benchmarks."""

from tests.kit.errors import KitError


class BenchmarkError(KitError):
    """The benchmark cannot go on: a tool is missing, or a program did not do its part."""
