"""The page's files from elsewhere: unchanged, small, and with their licences."""

import hashlib
import json
from pathlib import Path
from typing import Any

from server import console

VENDOR = Path(console.__file__).parent / "static" / "vendor"
LISTED: list[dict[str, Any]] = json.loads((VENDOR / "vendor.json").read_text())["files"]


def test_vendored_file_is_the_one_that_is_listed() -> None:
    found = {
        one["file"]: hashlib.sha256((VENDOR / one["file"]).read_bytes()).hexdigest()
        for one in LISTED
    }
    assert found == {one["file"]: one["sha256"] for one in LISTED}


def test_every_vendored_file_is_listed_with_a_licence_that_is_there() -> None:
    licences = {name for one in LISTED for name in one["licence_files"]}
    listed = {one["file"] for one in LISTED} | licences | {"vendor.json"}
    assert {path.name for path in VENDOR.iterdir()} == listed
    assert all("license" in (VENDOR / name).read_text().lower() for name in licences)


def test_vendored_files_are_below_100_kb_together() -> None:
    assert sum(path.stat().st_size for path in VENDOR.iterdir()) < 100_000
