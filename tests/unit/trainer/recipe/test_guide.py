"""The examples of the guide to recipes are valid."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.kit.recordings import recipe

ROOT = Path(__file__).parents[4]
GUIDE = (ROOT / "docs" / "recipe.md").read_text()
# Examples that begin with a shape of files, such as "# bearings: ...", are tried on such files by
# test_examples.
EXAMPLES = [
    block
    for block in re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    if "[data]" in block and not re.match(r"# \w+: ", block)
]


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"example {at}" for at in range(len(EXAMPLES))])
def test_example_of_a_source_is_valid(example: str, tmp_path: Path) -> None:
    sections = tomllib.loads(example)
    given = sections["data"]
    if "sql" in given:
        sections["data"] = {**given, "files": None}
    read = recipe(tmp_path, **sections)
    assert {key: getattr(read.data, key) for key in given}.keys() == given.keys()
    assert len(EXAMPLES) == 6
