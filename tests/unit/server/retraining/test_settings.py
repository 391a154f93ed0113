"""The settings of retraining, and the example that shows them."""

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from server.retraining.settings import RetrainedStream, Retraining

EXAMPLE = (Path(__file__).parents[4] / "config/server.toml").read_text()
STREAM = {"stream": "press", "recipe": "press.toml"}


def test_comments_of_the_example_are_settings_and_show_their_defaults() -> None:
    section = EXAMPLE.partition("# [retraining]\n")[2].partition("\n# [log]")[0]
    lines = [line.removeprefix("# ") for line in section.splitlines() if line.startswith("# ")]
    shown = tomllib.loads("\n".join(lines).replace("[[retraining.streams]]", "[[streams]]"))
    found = Retraining.model_validate(shown)
    default = Retraining.model_validate({"streams": [STREAM]})
    assert set(shown) == set(Retraining.model_fields)
    assert found.model_copy(update={"streams": default.streams}) == default
    assert set(shown["streams"][0]) == set(RetrainedStream.model_fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"streams": []}, "at least 1 item", id="without streams"),
        pytest.param({"streams": [STREAM, STREAM]}, "repeated: ['press']", id="a stream twice"),
        pytest.param({"command": []}, "at least 1 item", id="without a command"),
        pytest.param({"command": ["train", "{bundle}"]}, "{recipe}", id="unknown field"),
        pytest.param({"publish": ["sign", "{recipe}"]}, "{plan}", id="field of training"),
        pytest.param({"publish": ["sign", "{"]}, "braces that stay are doubled", id="open brace"),
        pytest.param({"auto": "always"}, "'no' or 'shadow'", id="unknown policy"),
        pytest.param({"nice": 20}, "less than or equal to 19", id="too nice"),
        pytest.param({"colour": "red"}, "Extra inputs", id="unknown key"),
    ],
)
def test_setting_that_is_not_allowed_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Retraining.model_validate({"streams": [STREAM], **fields})
    assert words in str(refused.value)
