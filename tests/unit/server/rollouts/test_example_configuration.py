"""config/server.toml, whose comments show the defaults of rollouts."""

import tomllib
from pathlib import Path

from server.rollouts.settings import Rollouts

EXAMPLE = (Path(__file__).parents[4] / "config/server.toml").read_text()
OWN = {"registry", "keys", "passphrase_file", "name", "broker"}


def test_comments_of_the_example_are_settings_and_show_their_defaults() -> None:
    section = EXAMPLE.partition("# [rollouts]\n")[2].partition("\n# When models")[0]
    lines = [line.removeprefix("# ") for line in section.splitlines() if line.startswith("# ")]
    shown = tomllib.loads("\n".join(lines).replace("[rollouts.broker]", "[broker]"))
    found = Rollouts.model_validate(shown)
    needed = {"registry": "r", "keys": "k", "broker": {"host": "h"}}
    default = Rollouts.model_validate(needed)
    own = {name: getattr(default, name) for name in OWN}
    assert set(shown) == set(Rollouts.model_fields)
    assert found.model_copy(update=own) == default
