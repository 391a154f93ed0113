"""What `check` says of qualities whose meaning nobody has named."""

import pytest

from agent.cli.check import find_guessed
from agent.config.settings import Settings
from tests.kit.wording import names


def settings(*inputs: dict[str, object]) -> Settings:
    sources = [{"topic": f"in{place}/{{asset}}"} | fields for place, fields in enumerate(inputs)]
    return Settings.model_validate(
        {
            "gateway": {"id": "gw1"},
            "broker": {"host": "localhost"},
            "registry": {"url": "file:///registry", "root": "root.json"},
            "pipelines": [{"stream": "mass", "inputs": sources}],
        }
    )


def test_quality_without_a_map_is_warned_of_with_its_place_and_the_names() -> None:
    (answer,) = find_guessed(settings({}, {"quality": "q"}))
    assert answer.kind == "warn"
    assert names(answer.text, "pipelines[0].inputs[1].quality", "quality_ambiguous", "siemens_qc")


def test_quality_of_a_list_of_tags_is_warned_of_too() -> None:
    layout = {"items": "payload", "name": "k", "quality": "q"}
    tags: dict[str, object] = {"dialect": "tags", "tags": layout}
    assert [answer.kind for answer in find_guessed(settings(tags))] == ["warn"]
    assert find_guessed(settings({"dialect": "kepware"}, tags | {"quality_map": "words"})) == []


@pytest.mark.parametrize(
    "fields",
    [{}, {"quality": "q", "quality_map": "words"}, {"quality": "q", "quality_map": {"0": "BAD"}}],
    ids=["no quality", "a name", "a table"],
)
def test_quality_with_a_map_is_not_warned_of(fields: dict[str, object]) -> None:
    assert find_guessed(settings(fields)) == []
