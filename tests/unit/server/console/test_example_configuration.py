"""config/server.toml, whose comments show the defaults of the page."""

import tomllib
from pathlib import Path

from server.console.settings import Console

EXAMPLE = (Path(__file__).parents[4] / "config/server.toml").read_text()
PLACES = {"host", "username", "password_file", "ca_file", "cert_file", "key_file"}


def test_comments_of_the_example_are_settings_and_show_their_defaults() -> None:
    section = EXAMPLE.partition("# [console]\n")[2].partition("\n# The controller")[0]
    lines = [line.removeprefix("# ") for line in section.splitlines() if line.startswith("# ")]
    shown = tomllib.loads("\n".join(line for line in lines if not line.startswith("# ")))
    shown["broker"] = shown.pop("console")["broker"]
    default = Console.model_validate({"broker": {"host": "h"}})
    found = Console.model_validate(shown)
    assert set(shown["broker"]) == set(type(default.broker).model_fields)
    assert set(shown) == set(Console.model_fields)
    assert found.model_copy(update={"broker": default.broker}) == default
    places = {name: getattr(default.broker, name) for name in PLACES}
    assert found.broker.model_copy(update=places) == default.broker
