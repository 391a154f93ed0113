"""What `check` warns of because it goes over a network where others may read it."""

from pathlib import Path

import pytest

from agent.cli.check import find_exposed
from agent.config.settings import Settings


def settings(folder: Path, broker: dict[str, object], url: str = "file:///registry") -> Settings:
    return Settings.model_validate(
        {
            "gateway": {"id": "gw1", "state_dir": folder},
            "broker": broker,
            "registry": {"url": url, "root": folder / "root.json"},
            "pipelines": [{"stream": "mass", "inputs": [{"topic": "in/{asset}"}]}],
        }
    )


LOGIN: dict[str, object] = {"username": "gw1", "password_file": "/run/secret"}


def test_password_without_tls_is_warned_of(tmp_path: Path) -> None:
    (answer,) = find_exposed(settings(tmp_path, {"host": "broker.plant", **LOGIN}))
    assert answer.kind == "warn"
    assert "broker.plant" in answer.text


@pytest.mark.parametrize(
    "broker",
    [
        {"host": "broker.plant"},
        {"host": "broker.plant", "tls": True, **LOGIN},
        {"host": "localhost", **LOGIN},
        {"host": "127.0.0.1", **LOGIN},
        {"host": "::1", **LOGIN},
    ],
)
def test_what_nobody_can_read_is_not_warned_of(tmp_path: Path, broker: dict[str, object]) -> None:
    assert find_exposed(settings(tmp_path, broker)) == []


def test_registry_over_http_is_warned_of(tmp_path: Path) -> None:
    (answer,) = find_exposed(
        settings(tmp_path, {"host": "localhost"}, "http://models.plant/registry")
    )
    assert answer.kind == "warn"
    assert "models.plant" in answer.text
