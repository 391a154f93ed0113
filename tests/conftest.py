from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import settings

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
