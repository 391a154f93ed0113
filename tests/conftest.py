import os
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import settings

# Tests share the machine's processors with each other. A thread of OpenMP that waits for one that
# has none spins meanwhile, and a fit of a second takes five. Before NumPy is imported, and for all
# processes that tests start.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# The machine may be busy, so no example has a deadline; nothing is kept between runs.
settings.register_profile("millhand", deadline=None, database=None, print_blob=True)
settings.load_profile("millhand")

_FIGURE = "figure"


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tell a measured figure at the end of the run."""
    return partial(record_property, _FIGURE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that the promises were met with."""
    reports = terminalreporter.getreports("passed")
    figures = [value for one in reports for name, value in one.user_properties if name == _FIGURE]
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.write_line(str(line))
