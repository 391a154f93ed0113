"""Settings in environment variables override the file, and their mistakes name the variable."""

import os
from pathlib import Path

import pytest

from agent.cli.commands import load
from serving.errors import ConfigError
from tests.unit.agent.config.test_settings import document, mistakes, write


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("MILLHAND_"):
            monkeypatch.delenv(name)


def test_variable_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLHAND_BROKER__HOST", "broker.plant")
    monkeypatch.setenv("MILLHAND_BROKER__PORT", "8883")
    monkeypatch.setenv("MILLHAND_LIMITS__MAX_BATCH", "7")
    settings = load(write(tmp_path, document()))
    assert (settings.broker.host, settings.broker.port) == ("broker.plant", 8883)
    assert settings.limits.max_batch == 7


def test_variable_may_be_in_small_letters_and_give_a_whole_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("millhand_limits__max_batch", "7")
    monkeypatch.setenv("MILLHAND_LIMITS", '{"max_topics": 9, "max_batch": 3}')
    monkeypatch.setenv("MILLHAND_CONFIG", "no setting, and read elsewhere")
    settings = load(write(tmp_path, document(limits={"max_waiting": 5})))
    limits = settings.limits
    assert (limits.max_batch, limits.max_topics, limits.max_waiting) == (7, 9, 5)


def test_mistake_in_a_variable_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLHAND_BROKER__PORT", "mqtt")
    assert mistakes(tmp_path, document())[0].startswith(
        "environment MILLHAND_BROKER__PORT: broker.port: found 'mqtt'"
    )


def test_variable_that_is_no_json_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLHAND_PIPELINES", "[")
    with pytest.raises(ConfigError, match=r'environment: .*"pipelines".*JSON'):
        load(write(tmp_path, document()))


def test_password_is_taken_neither_from_the_environment_nor_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLHAND_BROKER__PASSWORD", "hunter2")
    (line,) = mistakes(tmp_path, document())
    assert line.startswith("environment MILLHAND_BROKER__PASSWORD: broker.password: ")
    assert "hunter2" not in line
