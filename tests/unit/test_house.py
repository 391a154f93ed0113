"""The house rules that no linter knows."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = ("agent", "models", "server", "serving", "trainer", "demo", "benchmarks", "chaos")
INSTALLED = ("agent", "models", "server", "serving", "trainer")

# A library that is a boundary is imported in one file a side, which wraps its errors in ours.
IMPORTERS = {
    "cbor2": {"models/input/codecs/cbor.py"},
    "joblib": {"trainer/search/candidates.py"},
    "msgpack": {"models/input/codecs/message_pack.py"},
    "onnxruntime": {"serving/runtime/device.py", "serving/runtime/graph.py"},
    "optuna": {
        "trainer/estimators/families.py",
        "trainer/search/journal.py",
        "trainer/search/plan.py",
        "trainer/search/candidates.py",
    },
    "pandas": {
        "trainer/draft/column.py",
        "trainer/draft/fleet.py",
        "trainer/draft/goal.py",
        "trainer/draft/marks.py",
        "trainer/draft/table.py",
        "trainer/ingest/beside.py",
        "trainer/ingest/columns.py",
        "trainer/ingest/csv_file.py",
        "trainer/ingest/databases/query.py",
        "trainer/ingest/dates/counts.py",
        "trainer/ingest/dates/day_order.py",
        "trainer/ingest/dates/moments.py",
        "trainer/ingest/dates/timestamps.py",
        "trainer/ingest/dates/words.py",
        "trainer/ingest/formats/cells.py",
        "trainer/ingest/formats/matlab.py",
        "trainer/ingest/formats/workbook.py",
        "trainer/ingest/labview.py",
        "trainer/ingest/numerals.py",
        "trainer/ingest/parquet_file.py",
        "trainer/ingest/transposed.py",
    },
    "matplotlib": {
        "trainer/draft/course.py",
        "trainer/draft/picture.py",
        "trainer/draft/relations.py",
        "trainer/report/sections/alarms.py",
        "trainer/report/canvas.py",
        "trainer/report/sections/classes.py",
        "trainer/report/sections/importance.py",
        "trainer/report/sections/numbers.py",
        "trainer/report/sections/tables.py",
        "trainer/report/sections/split.py",
        "trainer/report/time_axis.py",
    },
    "paho": {
        "agent/mqtt/client.py",
        "agent/mqtt/connection.py",
        "server/mqtt/connection.py",
        "trainer/broker.py",
    },
    "prometheus_client": {
        "server/metrics/collector.py",
        "server/metrics/exposition.py",
        "server/metrics/samples.py",
    },
    "skl2onnx": {"trainer/graph/converters.py", "trainer/graph/export.py"},
    "grpc": {"server/rpc/inbox.py", "server/rpc/listener.py", "server/rpc/statuses.py"},
    "httptools": {"server/http/connection.py", "server/http/head.py"},
    "tuf": {
        "serving/registry/trust.py",
        "serving/registry/metadata/delegation.py",
        "serving/registry/metadata/refused.py",
        "serving/publishing/chain.py",
        "serving/publishing/delegation.py",
        "serving/publishing/documents.py",
        "serving/publishing/proposal.py",
        "serving/publishing/publication.py",
        "serving/publishing/rollouts.py",
        "serving/publishing/root_chain.py",
        "serving/publishing/stream_lists.py",
    },
}

# Built from parts, so that this file may be in the tree as well.
INDEX_HOSTS = ("pypi." + "org", "python" + "hosted", "npm" + "js", "deb.debian." + "org")
LEFT_UNDONE = "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX"))


@pytest.mark.parametrize(("library", "allowed"), IMPORTERS.items())
def test_boundary_library_is_imported_in_its_own_file_only(library: str, allowed: set[str]) -> None:
    importers = {
        name
        for name in sources(*INSTALLED)
        if any(module.split(".")[0] == library for module in imported(name))
    }
    assert importers <= allowed


def test_source_file_is_shorter_than_350_lines() -> None:
    assert [name for name in sources(*CODE) if line_count(name) >= 350] == []


def test_test_file_is_shorter_than_600_lines() -> None:
    assert [name for name in sources("tests") if line_count(name) >= 600] == []


def test_no_function_body_is_longer_than_50_lines() -> None:
    assert {name: lines for name, lines in bodies().items() if lines > 50} == {}


def test_19_of_20_function_bodies_are_shorter_than_25_lines() -> None:
    long = {name: lines for name, lines in bodies().items() if lines >= 25}
    assert len(long) <= len(bodies()) / 20, long


def test_folder_holds_at_most_16_modules() -> None:
    counts = Counter(Path(name).parent.as_posix() for name in modules())
    assert {folder: count for folder, count in counts.items() if count > 16} == {}


def test_no_module_has_the_name_of_its_folder() -> None:
    assert [name for name in modules() if Path(name).stem == Path(name).parent.name] == []


def test_package_file_holds_a_docstring_only() -> None:
    packages = [name for name in sources(*CODE) if name.endswith("/__init__.py")]
    assert [name for name in packages if len(parsed(name).body) != 1] == []


def test_silenced_lint_rule_has_its_reason_on_the_line() -> None:
    silenced = re.compile(r"# (?:noqa|type: ignore)\b(?P<rest>.*)")
    reason = re.compile(r"(?:: [A-Z]+\d+(?:, ?[A-Z]+\d+)*|\[[a-z, -]+\])\W+[a-z]", re.IGNORECASE)
    bare = [
        f"{name}:{number}"
        for name in sources(*CODE, "tests")
        for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1)
        if (match := silenced.search(line)) and not reason.match(match["rest"])
    ]
    assert bare == []


def test_no_file_is_opened_for_writing_through_a_link() -> None:
    """A link that somebody else has put into a folder must not get another file changed."""
    assert [place for name in sources(*INSTALLED) for place in followed(name)] == []


def test_tree_names_no_package_index() -> None:
    assert occurrences("|".join(re.escape(host) for host in INDEX_HOSTS)) == []


def test_tree_leaves_nothing_undone() -> None:
    assert occurrences(rf"\b(?:{LEFT_UNDONE})\b") == []


@cache
def tree() -> tuple[str, ...]:
    """The repository's files, from its root: those in git and those that could be."""
    listing = subprocess.run(
        ["/usr/bin/git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = listing.stdout.rstrip("\0").split("\0")
    return tuple(sorted(name for name in names if (ROOT / name).is_file()))


def sources(*folders: str) -> list[str]:
    return [name for name in tree() if name.endswith(".py") and name.split("/")[0] in folders]


def modules() -> list[str]:
    """All modules of the code and of the tests' kit, beside `__init__.py`."""
    names = [*sources(*CODE), *(name for name in sources("tests") if name.startswith("tests/kit/"))]
    return [name for name in names if not name.endswith("/__init__.py")]


def line_count(name: str) -> int:
    return len((ROOT / name).read_text().splitlines())


@cache
def parsed(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(), filename=name)


@cache
def imported(name: str) -> frozenset[str]:
    found = set()
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return frozenset(found)


@cache
def bodies() -> dict[str, int]:
    """Lines of each function's body without its docstring."""
    return {
        f"{name}:{node.lineno} {node.name}": body_length(node)
        for name in sources(*CODE)
        for node in ast.walk(parsed(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    if not statements:
        return 0
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1


def followed(name: str) -> Iterator[str]:
    """Places where a file is written to by other means than `models/files.py` or O_NOFOLLOW."""
    for node in ast.walk(parsed(name)):
        said = ast.unparse(node) if isinstance(node, ast.Assign | ast.Call | ast.Return) else ""
        opened = re.match(r"[^(]*\bopen\((.*, )?(mode=)?'[rb]*[wax+]", said)
        written = re.match(r"[^(]*\.(write_bytes|write_text|touch)\(", said)
        bare = re.search(r"O_(WRONLY|RDWR)", said) and not re.search("O_(NOFOLLOW|EXCL)", said)
        if (opened and not said.startswith("os.fdopen")) or written or bare:
            yield f"{name}:{getattr(node, 'lineno', 0)}"


def occurrences(pattern: str) -> list[str]:
    wanted = re.compile(pattern)
    return [name for name in tree() if wanted.search((ROOT / name).read_text(errors="replace"))]
