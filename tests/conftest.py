from collections.abc import Callable

import pytest
from hypothesis import settings

# The machine may be busy, so no example has a deadline; nothing is kept between runs.
settings.register_profile("millhand", deadline=None, database=None, print_blob=True)
settings.load_profile("millhand")

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tell a measured figure at the end of the run."""
    return request.config.stash.setdefault(_FIGURES, []).append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the figures that the promises were met with."""
    if figures := config.stash.get(_FIGURES, []):
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.write_line(line)
