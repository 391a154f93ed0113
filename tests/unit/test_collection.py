"""The names of tests are the same in every process, at every moment, on every machine.

Workers that run the suite together refuse to begin if they collected different names.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOR_THIS_PROCESS = ("COV_", "COVERAGE_", "PYTEST_")


@pytest.fixture(scope="module")
def own(request: pytest.FixtureRequest) -> list[str]:
    """What this process collected, seconds or minutes ago and under a hash seed of its own."""
    return [item.nodeid for item in request.session.items]


def test_another_process_collects_the_same_later_and_under_another_hash_seed(
    own: list[str], request: pytest.FixtureRequest
) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(FOR_THIS_PROCESS)}
    listing = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--collect-only", "--quiet", "--no-cov"),
            *("-p", "no:cacheprovider", "-p", "no:xdist", *request.config.args),
        ],
        cwd=request.config.invocation_params.dir,
        env={**environment, "PYTHONHASHSEED": "1", "TZ": "Asia/Kolkata"},
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = listing.stdout.splitlines()
    # A run of some tests only, by -k or in another order, is a part of them.
    assert sorted(set(own) - set(theirs)) == []
    if len(own) == theirs.index(""):
        assert own == theirs[: len(own)]


def test_name_of_a_test_is_in_words_and_not_in_bytes(own: list[str]) -> None:
    assert [name for name in own if re.search(r"\\x[0-9a-f]{2}|\bat 0x", name)] == []
