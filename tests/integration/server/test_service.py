"""The server as a service: under its unit's filter, in sequence with systemd, and as commands."""

from contextlib import closing
from pathlib import Path

import pytest

from server.__main__ import main
from server.settings import Settings
from serving.preflight.schema_files import schema
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.children import python
from tests.kit.gateway.evil import evil_bundle
from tests.kit.model_calls import client_of, window
from tests.kit.model_server import LOOKS, ModelServer
from tests.kit.waiting import eventually

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "systemd" / "millhand-server.service"


def test_server_answers_and_refuses_bundles_under_the_filter_of_its_unit(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0]))
    sandboxed = [*python("tests.kit.gateway.sandbox", UNIT)]
    streams = [{"stream": "mass"}]
    sections = {"grpc": {"port": 0}, "registry": LOOKS}
    with ModelServer(tmp_path / "home", published, streams, sections, sandboxed) as server:
        server.start_serving()
        with closing(client_of(server)) as client:
            found = client.infer("mass", [window([[4.5]])])
        assert found.as_numpy("value").tolist() == [4.5]
        tensor = {"name": "window", "datatype": "FP32", "shape": [1, 1, 1], "data": [4.5]}
        reply = server.request("POST", "/v2/models/mass/infer", {"inputs": [tensor]})
        assert reply.document["outputs"][0]["data"] == [4.5]
        published.publish(evil_bundle("memory at golden", "mass", 2))
        eventually(lambda: "proof_memory" in server.log, 30.0)
        assert server.request("GET", "/v2/models/mass").document["versions"] == ["1"]


def test_second_server_with_the_same_state_folder_is_refused(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    with ModelServer(tmp_path / "home", published, [{"stream": "mass"}]) as server:
        server.start()
        config = server.folder / "server.toml"
        assert main(["run", "--config", str(config)]) == 75


def test_check_reports_the_mistakes_of_the_file_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "server.toml"
    config.write_text(
        """
        server = { host = "192.0.2.7", port = 70000 }
        registry = { url = "file:///srv/registry", root = "root.json" }
        streams = [{ stream = "mass", versions = 2 }, { stream = "mass" }]
        """
    )
    assert main(["check", "--config", str(config)]) == 78
    said = capsys.readouterr().err
    assert "server.port" in said
    assert "70000" in said
    config.write_text(config.read_text().replace(", port = 70000", ""))
    assert main(["check", "--config", str(config)]) == 78
    said = capsys.readouterr().err
    assert "192.0.2.7" in said
    assert "127.0.0.1" in said


def test_schema_in_config_is_up_to_date() -> None:
    assert (ROOT / "config" / "server.schema.json").read_bytes() == schema(Settings)


def test_example_configuration_is_valid_and_shows_every_section(
    capsys: pytest.CaptureFixture[str],
) -> None:
    example = ROOT / "config" / "server.toml"
    assert main(["models", "--config", str(example)]) == 0
    assert "pump-health" in capsys.readouterr().out
    text = example.read_text()
    for name in Settings.model_fields:
        assert f"[{name}]" in text
