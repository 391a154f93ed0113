"""What `check` says of a configuration that cannot be meant, although each key is right."""

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from agent.__main__ import main
from agent.cli.contradictions import find_contradictions
from agent.config.settings import Settings
from serving.preflight.answer import Answer
from tests.kit.wording import names

ROW = "plant/{line}/{asset}/row"
NODE = "spBv1.0/{group}/{type}/{node}"


def document(*inputs: dict[str, Any], **pipeline: object) -> dict[str, Any]:
    return {
        "gateway": {"id": "gw1"},
        "broker": {"host": "localhost"},
        "registry": {"url": "file:///registry", "root": "root.json"},
        "pipelines": [{"stream": "mass", "inputs": list(inputs), **pipeline}],
    }


def found(*inputs: dict[str, Any], **pipeline: object) -> list[Answer]:
    return find_contradictions(Settings.model_validate(document(*inputs, **pipeline)))


def bound(topic: str, *signals: str, **fields: object) -> dict[str, Any]:
    return {"topic": topic, "signals": {name: name for name in signals}, **fields}


def test_input_whose_messages_another_one_takes_fails() -> None:
    (answer,) = found(bound(ROW, "a"), bound("other/{line}/{asset}", "b"), bound(ROW, "c"))
    assert answer.kind == "FAIL"
    assert names(answer.text, "pipelines[0].inputs[2].topic", "inputs[0]", "never gets one")


@pytest.mark.parametrize(
    "inputs",
    [
        (bound(f"{NODE}/pump", "a", dialect="sparkplug"),) * 2,
        (bound("kep/{asset}", "a", dialect="kepware"), bound("kep/{asset}", "b", dialect="neuron")),
        (bound(ROW, "a"), bound("plant/{line}/{asset}/other", "b")),
    ],
    ids=["nodes", "lists of tags", "two topics"],
)
def test_inputs_that_are_both_read_are_not_told(inputs: tuple[dict[str, Any], ...]) -> None:
    assert found(*inputs) == []


@pytest.mark.parametrize(
    ("topic", "asset"),
    [(ROW, "p1"), (ROW, "l1/p1/x"), (ROW, "l1/"), ("plant/row", "p1"), ("a/{b}/{c...}", "l1")],
    ids=["too few levels", "too many levels", "an empty level", "no level", "too few of any depth"],
)
def test_listed_asset_that_no_topic_has_is_warned_of(topic: str, asset: str) -> None:
    (answer,) = found(bound(topic, "a"), assets=[asset, "q"])
    assert answer.kind == "warn"
    assert names(answer.text, "pipelines[0].assets", f"'{asset}'", "1 more")


def test_listed_assets_that_a_topic_or_a_payload_may_have_are_not_told() -> None:
    assert found(bound(ROW, "a"), assets=["l1/p1"]) == []
    assert found(bound("a/{b}/{c...}", "a"), assets=["l1/p1", "l1/hall/p1"]) == []
    assert found(bound("plant/row", "a"), assets=["mass"]) == []
    assert found(bound("hub/{line}", "a", asset="device"), assets=["l1/p1"]) == []
    assert found(bound(f"{NODE}/{{device}}", "a", dialect="sparkplug"), assets=["g/n/d"]) == []


def test_signals_of_inputs_with_other_levels_are_warned_of() -> None:
    whole = bound("plant/{line}/{asset}/row", "a", "b")
    (answer,) = found(whole, bound("plant/{line}/air", "c"), output={"topic": "out/{line}"})[1:]
    assert answer.kind == "warn"
    assert names(answer.text, "inputs[1].topic", "{line}", "inputs[0]", "{line}/{asset}")
    swapped = bound("plant/{asset}/of/{line}/row", "c")
    assert [one.kind for one in found(whole, swapped)] == ["warn", "warn"]


def test_inputs_that_have_all_signals_at_each_depth_are_not_told() -> None:
    deep = bound("plant/{line}/{cell}/{asset}/row", "a", "b")
    assert found(bound(ROW, "a", "b"), deep) == []
    assert found({"topic": ROW}, {"topic": "plant/{line}/{cell}/{asset}/row"}) == []


def test_check_ends_with_1_where_an_input_is_never_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "root.json").write_text("{}")
    content = document(bound(ROW, "a"), bound(ROW, "b"))
    content["gateway"]["state_dir"] = str(tmp_path / "state")
    content["registry"]["root"] = str(tmp_path / "root.json")
    (tmp_path / "agent.toml").write_text(tomli_w.dumps(content))
    assert main(["check", "--config", str(tmp_path / "agent.toml")]) == 1
    assert names(capsys.readouterr().out, "FAIL", "inputs[1].topic")
