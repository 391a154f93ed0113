"""Every mistake in the settings of late labels is told with key, finding and remedy."""

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from agent.cli.commands import load
from serving.errors import ConfigError
from tests.kit.wording import names


def mistakes(folder: Path, labels: dict[str, object], topic: str = "plant/{asset}/row") -> str:
    """What is told of a configuration whose only stream takes these labels."""
    content: dict[str, Any] = {
        "gateway": {"id": "gw1"},
        "broker": {"host": "localhost"},
        "registry": {"url": "file:///srv/registry", "root": "/etc/millhand/root.json"},
        "pipelines": [{"stream": "rul", "inputs": [{"topic": topic}], "labels": labels}],
    }
    path = folder / "agent.toml"
    path.write_bytes(tomli_w.dumps(content).encode())
    with pytest.raises(ConfigError) as caught:
        load(path)
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("inputs", "labels", "words"),
    [
        ("plant/{asset}/{kind}/{name}", {"topic": "plant/{asset}/a/b"}, "pipelines[0].inputs[0]"),
        ("plant/{asset}/row", {"topic": "plant/{asset}/_inference/{stream}"}, "predictions"),
        ("plant/{asset}/row", {"topic": "{a}/{b}/{c}/{d}"}, "predictions"),
        ("plant/{asset}/row", {"topic": "{a}/{b}/metrics"}, "the agent's own documents"),
    ],
    ids=["readings", "predictions", "all of four levels", "metrics"],
)
def test_labels_on_a_topic_of_something_else_are_told(
    inputs: str, labels: dict[str, object], words: str, tmp_path: Path
) -> None:
    line = mistakes(tmp_path, labels, inputs)
    assert names(line, "pipelines[0].labels", words, "set labels.topic")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"topic": "plant/+/label"}, ["pipelines[0].labels.topic", "{asset}"]),
        ({"horizon_s": 0}, ["pipelines[0].labels.horizon_s", "0"]),
        ({"max_bytes": 1 << 20}, ["max_bytes is 1048576", "max_labels 10000"]),
        ({"horizon": 5}, ["pipelines[0].labels.horizon"]),
    ],
    ids=["wildcard", "no horizon", "no room", "unknown key"],
)
def test_mistake_in_labels_is_told(
    labels: dict[str, object], words: list[str], tmp_path: Path
) -> None:
    assert names(mistakes(tmp_path, labels), *words)
