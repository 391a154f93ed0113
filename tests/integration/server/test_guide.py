"""docs/api.md, done as it says: every curl line gets the answer that stands there."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.bundle.manifest import Channel, WindowSpec
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.children import ROOT
from tests.kit.model_server import ModelServer

GUIDE = (ROOT / "docs/api.md").read_text()
CHANNELS = (Channel(name="pressure", unit="bar"), Channel(name="flow"))
BUNDLE = linear_bundle(
    "pump-health",
    1,
    [1.0, 10.0],
    channels=CHANNELS,
    window=WindowSpec(length=1, sample_period_ms=1000),
    version="1.0.0",
)
OWN = ("id", "latency_ms", "input_age_ms")
"""Keys of a prediction that differ from installation to installation, or from call to call."""


def blocks(language: str) -> list[str]:
    """Content of every fenced block of a language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return [content for named, content in found if named == language]


def commands() -> list[str]:
    """Every command of the guide that begins with curl, with the lines that belong to it.

    Those of the section on access need a token, and stand in `test_access.py`.
    """
    begins = re.compile(r"^(?=curl )", re.MULTILINE)
    lines = (one for block in blocks("") for one in begins.split(block))
    is_open = re.compile(r"^curl (?!.*(TOKEN|cookies))")
    return [one for one in lines if is_open.match(one)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    folder = tmp_path_factory.mktemp("guide")
    published = Published.create(folder)
    published.publish(BUNDLE)
    with ModelServer(folder / "home", published, [{"stream": "pump-health"}]) as made:
        yield made.start_serving()


def answered(server: ModelServer, command: str) -> Any:  # noqa: ANN401  any JSON value
    """The answer to a command as it stands; curl is led to the port of this server."""
    led = f"connect-to = localhost:8470:127.0.0.1:{server.port}\nfail-with-body\n"
    Path(server.folder / ".curlrc").write_text(led)
    environment = os.environ | {"CURL_HOME": str(server.folder)}
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=environment, capture_output=True, check=False, timeout=20
    )
    assert done.returncode == 0, (command, done)
    return json.loads(done.stdout)


def test_guide_has_commands() -> None:
    assert len(commands()) >= 9


@pytest.mark.parametrize("command", commands())
def test_curl_line_of_the_guide_is_answered(server: ModelServer, command: str) -> None:
    assert "error" not in answered(server, command)


def test_prediction_of_the_guide_is_the_one_that_comes(server: ModelServer) -> None:
    (command,) = (one for one in commands() if "/predict -d" in one)
    (block,) = blocks("json")
    (shown,), (found,) = (
        document["predictions"] for document in (json.loads(block), answered(server, command))
    )
    assert shown.keys() == found.keys()
    for key in shown.keys() - set(OWN):
        assert found[key] == pytest.approx(shown[key]), key
