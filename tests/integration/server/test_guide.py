"""README and guides, done as they say: every curl line is run as it stands, and is answered."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.bundle.explain import Explain
from models.bundle.manifest import Channel, WindowSpec
from tests.kit.broker.brokers import HOST, mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.children import ROOT, run
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.http.access_tokens import make_tokens
from tests.kit.model_calls import port_of
from tests.kit.model_server import ModelServer
from tests.kit.plant_page import STREAM, overview, prediction, shown_of
from tests.kit.waiting import eventually

GUIDES = {
    name: (ROOT / name).read_text() for name in ("README.md", "docs/api.md", "docs/console.md")
}
CHANNELS = (Channel(name="pressure", unit="bar"), Channel(name="flow"))
BUNDLE = linear_bundle(
    STREAM,
    1,
    [1.0, 10.0],
    channels=CHANNELS,
    window=WindowSpec(length=1, sample_period_ms=1000),
    version="1.0.0",
    explain=Explain(when="alarm", method="occlusion", reference=0, output="value"),
)
OWN = ("id", "latency_ms", "input_age_ms")
"""Keys of a prediction that differ from installation to installation, or from call to call."""


NEEDS_TOKEN = re.compile("TOKEN|cookies")


def blocks(guide: str, *languages: str) -> list[str]:
    """Content of every fenced block of some languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDES[guide], re.MULTILINE | re.DOTALL)
    return [content for named, content in found if named in languages]


def commands(guide: str) -> list[str]:
    """Every command of a guide that begins with curl, with the indented lines that belong to it."""
    whole = re.compile(r"^curl .*(?:\n +.*)*", re.MULTILINE)
    return [one for block in blocks(guide, "", "sh") for one in whole.findall(block)]


ALL = list(dict.fromkeys(one for guide in GUIDES for one in commands(guide)))
OPEN = [one for one in ALL if not NEEDS_TOKEN.search(one)]
# `test_repository_control.py` runs those that load and unload.
GUARDED = [one for one in ALL if NEEDS_TOKEN.search(one) and "/v2/repository/models/" not in one]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    registry = Published.create(tmp_path_factory.mktemp("registry"))
    registry.publish(BUNDLE)
    return registry


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, published: Published) -> Iterator[ModelServer]:
    """A server as the guides have it: open to this machine, with a page."""
    folder = tmp_path_factory.mktemp("guide")
    with mosquitto(folder / "broker") as broker, PlantClient(broker.port) as client:
        broker_at = {"host": HOST, "port": broker.port}
        console: dict[str, object] = {"broker": broker_at, "points_per_minute": 60}
        sections: dict[str, dict[str, object]] = {"console": console, "grpc": {"port": 0}}
        home = folder / "home"
        with ModelServer(home, published, [{"stream": STREAM}], sections) as made:
            made.start_serving()
            eventually(lambda: overview(made)["broker"]["connected"], 20.0)
            topic = f"plant/l1/pump7/_inference/{STREAM}"
            client.publish(topic, prediction("l1/pump7", 319.2))
            eventually(lambda: shown_of(made, "l1/pump7"))
            yield made


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, published: Published
) -> Iterator[tuple[ModelServer, str]]:
    """A server that asks for a token, and one that may read."""
    folder = tmp_path_factory.mktemp("guarded")
    token = make_tokens(folder / "tokens", "read")["read"]
    sections = {"access": {"tokens_file": str(folder / "tokens")}}
    with ModelServer(folder / "home", published, [{"stream": STREAM}], sections) as made:
        yield made.start_serving(), token


def told(server: ModelServer, command: str, folder: Path, token: str = "") -> str:
    """What a command as it stands prints or writes; curl is led to the port of this server."""
    led = f"connect-to = localhost:8470:127.0.0.1:{server.port}\nfail-with-body\n"
    (server.folder / ".curlrc").write_text(led)
    environment = os.environ | {"CURL_HOME": str(server.folder), "TOKEN": token}
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == (28 if "--max-time" in command else 0), (command, done)
    _, _, file = command.partition(" > ")
    return (folder / file).read_text() if file else done.stdout


def answered(server: ModelServer, command: str, folder: Path, token: str = "") -> Any:  # noqa: ANN401  any JSON value
    """The JSON that a command gets."""
    return json.loads(told(server, command, folder, token))


@pytest.mark.parametrize(
    ("guide", "least"), [("README.md", 1), ("docs/api.md", 14), ("docs/console.md", 3)]
)
def test_guide_has_commands(guide: str, least: int) -> None:
    assert len(commands(guide)) >= least
    # None stands where it would not be found, and so not be run.
    assert len(re.findall(r"^ *curl ", GUIDES[guide], re.MULTILINE)) == len(commands(guide))


@pytest.mark.parametrize("command", OPEN)
def test_curl_line_is_answered(server: ModelServer, command: str, tmp_path: Path) -> None:
    said = told(server, command, tmp_path)
    if "/console/api/events" in command:
        assert said.startswith("retry: ")
        assert '"asset":"l1/pump7"' in said
    else:
        assert "error" not in json.loads(said)


def test_program_of_the_guide_is_answered_over_grpc(server: ModelServer) -> None:
    (program,) = (one for one in blocks("docs/api.md", "python") if "tritonclient.grpc" in one)
    led = program.replace("localhost:8471", f"{HOST}:{port_of(server)}")
    assert led != program
    assert run([sys.executable, "-c", led], 60.0).strip() == "[319.2] [b'GOOD']"


def test_curl_lines_of_access_are_answered_in_their_order(
    guarded: tuple[ModelServer, str], tmp_path: Path
) -> None:
    server, token = guarded
    metadata, session, stats, logged_out = (
        answered(server, one, tmp_path, token) for one in GUARDED
    )
    assert metadata["name"] == STREAM
    assert session == {"scopes": ["read"], "session_s": 43_200}
    assert stats["model_stats"][0]["name"] == STREAM
    assert logged_out["scopes"] == []


def test_first_call_of_the_readme_leads_to_a_prediction(
    server: ModelServer, tmp_path: Path
) -> None:
    (command,) = commands("README.md")
    example = answered(server, command, tmp_path)["example"]
    (found,) = answered(server, example["curl"], tmp_path)["predictions"]
    assert found["value"] == pytest.approx(example["expected"]["value"], rel=1e-3)


def test_readme_shows_the_call_and_the_page_before_anything_is_explained() -> None:
    first = GUIDES["README.md"].partition("\n## Train\n")[0]
    assert commands("README.md")[0] in first
    pictures = re.findall(r"^!\[.*\]\((docs/console/.*)\)$", first, re.MULTILINE)
    assert [(ROOT / one).is_file() for one in pictures] == [True]


def test_page_shows_what_the_guide_asks_of_its_history(server: ModelServer, tmp_path: Path) -> None:
    (command,) = (one for one in commands("docs/console.md") if "/history" in one)

    def values() -> Any:  # noqa: ANN401  any JSON value
        return answered(server, command, tmp_path)["points"]["value"]

    assert eventually(values, 60.0) == [319.2]


def test_prediction_of_the_guide_is_the_one_that_comes(server: ModelServer, tmp_path: Path) -> None:
    (command,) = (one for one in commands("docs/api.md") if "/predict -d" in one)
    (block,) = blocks("docs/api.md", "json")
    (shown,), (found,) = (
        document["predictions"]
        for document in (json.loads(block), answered(server, command, tmp_path))
    )
    assert shown.keys() == found.keys()
    for key in shown.keys() - set(OWN):
        assert found[key] == pytest.approx(shown[key]), key
