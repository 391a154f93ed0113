"""What start-up needed and serving does not goes back to the system, and nothing breaks by it."""

import gc
import subprocess
import sys
import weakref

import pytest

from serving import memory

_SCRIPT = """
import re, sys
from pathlib import Path
import serving.session
import numpy as np
from serving import memory

def resident_kb():
    return int(re.search(r"RssFile:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = resident_kb()
memory.settle()
after = resident_kb()
answer = np.linalg.solve(np.eye(3), np.arange(3.0))  # code that was taken out comes back
print(before, after, *answer)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_code_that_only_start_up_needed_is_not_resident_and_still_works() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True
    )
    before, after, *answer = map(float, run.stdout.split())
    assert after < before / 4
    assert answer == [0.0, 1.0, 2.0]


def test_what_start_up_made_is_not_walked_again_and_garbage_still_goes() -> None:
    class Node:
        pass

    memory.settle()
    try:
        assert gc.get_freeze_count() > 1_000
        node = Node()
        node.__dict__["itself"] = node
        gone = weakref.ref(node)
        del node
        memory.give_back()
        assert gone() is None
    finally:
        gc.unfreeze()
