"""What `check` says of a text file of metrics that could not be written."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.cli.check import find_unwritable
from agent.config.metrics import Metrics
from agent.config.settings import Settings
from tests.kit.wording import names


def settings(textfile: Path | None) -> Settings:
    return Settings.model_validate(
        {
            "gateway": {"id": "gw1"},
            "broker": {"host": "localhost"},
            "registry": {"url": "file:///registry", "root": "root.json"},
            "pipelines": [{"stream": "mass", "inputs": [{"topic": "in/{asset}"}]}],
            "metrics": {"textfile": textfile} if textfile else {},
        }
    )


def test_folder_that_is_not_there_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (answer,) = find_unwritable(settings(tmp_path / "absent" / "millhand.prom"))
    assert answer.kind == "FAIL"
    assert names(answer.text, "metrics.textfile", str(tmp_path / "absent"), "node_exporter")


def test_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "millhand.prom").mkdir()
    (answer,) = find_unwritable(settings(tmp_path / "millhand.prom"))
    assert answer.kind == "FAIL"
    assert names(answer.text, "metrics.textfile", "is a folder")


def test_folder_in_which_the_user_may_not_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # root, as which tests may run, may write everywhere.
    monkeypatch.setattr("os.access", lambda *_: False)
    (answer,) = find_unwritable(settings(tmp_path / "millhand.prom"))
    assert answer.kind == "FAIL"
    assert names(answer.text, "metrics.textfile", str(tmp_path), "ReadWritePaths=")


def test_file_that_can_be_written_and_no_file_at_all_are_right(tmp_path: Path) -> None:
    assert find_unwritable(settings(tmp_path / "millhand.prom")) == []
    assert find_unwritable(settings(None)) == []


@pytest.mark.parametrize(
    "textfile",
    ["millhand.prom", "/var/lib/metrics", "/var/lib/millhand.txt"],
    ids=["relative", "no ending", "another ending"],
)
def test_path_that_node_exporter_would_not_read_is_refused(textfile: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Metrics.model_validate({"textfile": textfile})
    assert names(str(caught.value), textfile, "absolute", ".prom")
