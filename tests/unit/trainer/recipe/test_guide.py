"""The examples of the guide to recipes are valid."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.kit.recordings import recipe

ROOT = Path(__file__).parents[4]
GUIDE = (ROOT / "docs" / "recipe.md").read_text()
EXAMPLES = [
    block for block in re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL) if "[data]" in block
]


@pytest.mark.parametrize("example", EXAMPLES, ids=[text.split("\n")[1][:30] for text in EXAMPLES])
def test_example_of_a_source_is_valid(example: str, tmp_path: Path) -> None:
    sections = tomllib.loads(example)
    given = sections["data"]
    if "sql" in given:
        sections["data"] = {**given, "files": None}
    read = recipe(tmp_path, **sections)
    assert {key: getattr(read.data, key) for key in given}.keys() == given.keys()
    assert len(EXAMPLES) == 6
