"""The page, the dashboard and the alert rules name the metrics that there are, and no others."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector

import server.app  # noqa: F401  it brings in whatever refuses requests
from models.control.families import FAMILIES as OF_GATEWAYS
from server.http.refusals import reasons
from server.metrics.families import FAMILIES, FLEET

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs/metrics.md").read_text()
DASHBOARDS: dict[str, dict[str, Any]] = {
    name: json.loads((ROOT / f"config/grafana-{name}.json").read_text())
    for name in ("server", "fleet")
}
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "config/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
_ROW = re.compile(
    r"^\| `(\w+)` \| (counter|gauge|histogram|info) \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE
)
EVERY = (*FAMILIES, *FLEET, *OF_GATEWAYS)
_OTHERS = {"up": set[str](), "node_textfile_mtime_seconds": {"file"}}
"""Labels of what Prometheus and node_exporter tell themselves."""
_TARGET = {"job", "instance"}
"""Labels that Prometheus adds to all that it reads."""
_PANELS = {"timeseries", "stat", "table", "heatmap", "row"}


def process_families() -> Mapping[str, str]:
    """Type by name of what prometheus_client tells of the process."""
    collector = ProcessCollector(registry=CollectorRegistry())
    found = list(collector.collect())
    return {f"{one.name}_total" if one.type == "counter" else one.name: one.type for one in found}


def series() -> Mapping[str, set[str]]:
    """The labels that every sample has, by its name."""
    found = {**_OTHERS, **{name: set[str]() for name in process_families()}}
    for one in EVERY:
        if one.kind == "histogram":
            found[f"{one.name}_bucket"] = {*one.labels, "le"}
            found[f"{one.name}_sum"] = found[f"{one.name}_count"] = set(one.labels)
        else:
            found[one.name] = set(one.labels)
    return found


def used(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Names of metrics in an expression, each with the labels that are asked of it."""
    parsed = promql_parser.parse(expression.replace("$__rate_interval", "5m"))
    yield from _selected(parsed)


def _selected(node: promql_parser.Expr) -> Iterator[tuple[str, set[str]]]:
    if isinstance(node, promql_parser.VectorSelector):
        yield str(node.name), {one.name for one in node.matchers.matchers}
    below = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "vector_selector")]
    for one in (*below, *(getattr(node, "args", None) or ())):
        if isinstance(one, promql_parser.Expr):
            yield from _selected(one)


def panels(*names: str) -> list[dict[str, Any]]:
    return [one for name in names or DASHBOARDS for one in DASHBOARDS[name]["panels"]]


def expressions() -> list[str]:
    """Everything that the dashboard and the alert rules ask Prometheus."""
    asked = [target["expr"] for one in panels() for target in one.get("targets", ())]
    marks = [one["expr"] for board in DASHBOARDS.values() for one in board["annotations"]["list"]]
    return [*asked, *marks, *(rule["expr"] for rule in RULES)]


def test_page_lists_every_family_with_its_type_labels_and_meaning() -> None:
    rows = {row[0]: row[1:] for row in _ROW.findall(PAGE)}
    ours = {
        one.name: (one.kind, ", ".join(f"`{label}`" for label in one.labels), one.meaning)
        for one in EVERY
    }
    assert {name: row for name, row in rows.items() if not name.startswith("process_")} == ours
    process = {name: row[0] for name, row in rows.items() if name.startswith("process_")}
    assert process == process_families()


def test_page_lists_every_reason() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (?:\d{3}|none) \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(reasons())


def test_names_follow_the_conventions_of_prometheus() -> None:
    names = [one.name for one in EVERY]
    assert len(set(names)) == len(names)
    for one in EVERY:
        assert one.name.startswith("millhand_")
        assert "asset" not in one.labels
        assert one.name.endswith("_total") == (one.kind == "counter")
        assert one.name.endswith("_info") == (one.kind == "info")
        assert not re.search(r"_(ms|us|ns|minutes|kb|mb)(_|$)", one.name)


@pytest.mark.parametrize("expression", expressions())
def test_expression_names_metrics_and_labels_that_there_are(expression: str) -> None:
    known = series()
    found = list(used(expression))
    assert found
    for name, labels in found:
        assert name in known, name
        assert labels <= known[name] | _TARGET


def test_every_family_is_on_the_dashboard_or_in_a_rule() -> None:
    named = {name for expression in expressions() for name, _ in used(expression)}
    stems = {re.sub(r"_(bucket|count|sum)$", "", name) for name in named}
    missing = {one.name for one in EVERY} - stems
    # Variables of the dashboard ask for these.
    assert missing <= {"millhand_build_info"}


def test_page_examples_are_expressions() -> None:
    examples = re.findall(r"^```promql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    for one in examples:
        assert {name for name, _ in used(one)} <= set(series())


def test_alert_says_what_has_happened_and_what_to_do() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule["alert"].startswith("Millhand")
        assert rule["labels"]["severity"] in {"critical", "warning"}
        for key in ("summary", "description"):
            assert rule["annotations"][key].endswith("."), rule["alert"]
        asked = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        kept = set().union(*(labels for _, labels in used(rule["expr"])))
        named = set().union(*(series()[name] for name, _ in used(rule["expr"])))
        assert asked <= _TARGET | named | kept, rule["alert"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_asks_the_data_source_that_its_reader_chooses(name: str) -> None:
    dashboard = DASHBOARDS[name]
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for one in panels(name):
        if one["type"] != "row":
            assert one["datasource"] == chosen
            assert all(target["datasource"] == chosen for target in one["targets"])
    named = set(re.findall(r"\$\{?(\w+)", json.dumps(panels(name))))
    assert named <= {*variables, "__rate_interval", "__all"}
    asked = re.findall(r"label_values\((\w+)", json.dumps(dashboard["templating"]))
    assert asked
    assert set(asked) <= set(series())


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_numbers_of_their_own_and_do_not_overlap(name: str) -> None:
    numbers = [one["id"] for one in panels(name)]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for one in panels(name):
        assert one["type"] in _PANELS
        place = one["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, one["title"]
        taken |= cells
