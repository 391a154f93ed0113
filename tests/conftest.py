import os
import sys
from collections.abc import Callable, Collection, Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from coverage import Coverage
from hypothesis import settings

# Tests share the machine's processors with each other. A thread of OpenMP that waits for one that
# has none spins meanwhile, and a fit of a second takes five. Before NumPy is imported, and for all
# processes that tests start.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# Images of machines set it. Each program that a test starts would compile millhand anew, which
# takes up to half of its start, and each worker all tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Pydantic would ask each of a hundred installed packages for plugins at each start of a program.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# The machine may be busy, so no example has a deadline; nothing is kept between runs.
settings.register_profile("millhand", deadline=None, database=None, print_blob=True)
settings.load_profile("millhand")

_FIGURE = "figure"
_UNMEASURED = [
    Path(__file__).parent / name
    for name in (
        "integration/commands/test_broker_check.py",
        "integration/commands/test_broker_refusals.py",
        "integration/commands/test_demo.py",
        "integration/commands/test_life.py",
        "integration/commands/test_readme.py",
        "integration/commands/test_upgrade.py",
        "integration/delivery",
        "integration/input",
        "integration/server/test_guide.py",
        "integration/server/test_kserve_client.py",
        "integration/server/test_openapi.py",
        "integration/server/test_page.py",
        "integration/server/test_page_fleet.py",
        "integration/server/test_page_outages.py",
        "integration/server/test_page_retraining.py",
        "integration/server/test_page_rollouts.py",
        "integration/server/test_page_states.py",
        "integration/server/test_page_token.py",
        "integration/server/test_retraining.py",
        "integration/server/test_retraining_by_policy.py",
        "integration/server/test_rollout_agents.py",
        "integration/server/test_rollouts.py",
        "integration/server/test_tritonclient.py",
        "integration/server/test_under_load.py",
        "integration/server/test_workers.py",
        "integration/shadow",
        "integration/test_site.py",
        "integration/trainer/test_learned_recipe.py",
        "integration/trainer/test_report_page.py",
        "integration/updates",
        "realdata",
        "unit/trainer/draft/test_packaged_sets.py",
    )
]
_CHILDREN_UNMEASURED = [Path(__file__).parent / name for name in ("contract", "unit")]
_FOR_CHILDREN = "COVERAGE_PROCESS_CONFIG"
"""Variable by which coverage finds itself in processes that tests start (coverage/patch.py)."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure no coverage where it costs much and finds little.

    Programs that run for long take 65 % more time with it. A child of a unit test is a proof or a
    training in most cases: of the whole test it would take a third, and it runs what the tests
    beside it run, too.
    """
    with ExitStack() as stack:
        if _is_below(item.path, _UNMEASURED):
            stack.enter_context(_unmeasured())
        if _is_below(item.path, _UNMEASURED + _CHILDREN_UNMEASURED):
            stack.enter_context(_unmeasured_children())
        return (yield)


def _is_below(path: Path, places: Collection[Path]) -> bool:
    return any(place in (path, *path.parents) for place in places)


@contextmanager
def _unmeasured() -> Generator[None]:
    """Stop the measurement in this process meanwhile."""
    measured = Coverage.current()
    if measured is not None:
        measured.stop()
    try:
        yield
    finally:
        if measured is not None:
            measured.start()


@contextmanager
def _unmeasured_children() -> Generator[None]:
    """Have processes that are started meanwhile not measured."""
    config = os.environ.pop(_FOR_CHILDREN, None)
    try:
        yield
    finally:
        if config is not None:
            os.environ[_FOR_CHILDREN] = config


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
