"""The page knows what to do about every code that the guide lists."""

import re
from pathlib import Path

from server.console.remedies import REMEDIES

GUIDE = (Path(__file__).parents[4] / "docs/registry.md").read_text()


def test_every_code_of_the_guide_has_a_remedy() -> None:
    table = GUIDE.partition("## When a gateway refuses")[2]
    codes = {
        code
        for row in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", row)
    }
    assert len(codes) > 30
    assert codes - set(REMEDIES) == set()
