"""`millhand-trainer pack` as people run it: from an ONNX file to a prediction on a topic."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from agent.config.settings import Settings
from agent.delivery.inputs import Input
from agent.streams.pipeline import Pipeline
from models.bundle.package import read_bundle
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from tests.kit.bundles.external import LENGTH, convolution, document, linear, original, windows
from tests.kit.wording import names
from trainer.__main__ import main
from trainer.external.declaration import read_declaration

DOCS = (Path(__file__).parents[3] / "docs/pack.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
NOW_NS = 1_760_000_000_000_000_000


def words(*given: object) -> list[str]:
    return [str(word) for word in given]


def write(folder: Path, content: bytes, **sections: Any) -> list[str]:  # noqa: ANN401  as TOML
    """Write a graph and its description; returns the command that packs them."""
    (folder / "net.onnx").write_bytes(content)
    (folder / "net.toml").write_text(tomli_w.dumps(document(**sections)))
    model, description = folder / "net.onnx", folder / "net.toml"
    return words("pack", model, "--manifest", description, "--out", folder / "bundles")


def predictions(path: Path, samples: np.ndarray) -> list[dict[str, Any]]:
    """What a gateway with the bundle publishes for samples `[n, 2]`, one message each."""
    bundle = read_bundle(path.read_bytes())
    settings = Settings.model_validate(
        {
            "gateway": {"id": "gateway-1"},
            "broker": {"host": "127.0.0.1"},
            "registry": {"url": "file:///srv/registry", "root": "root.json"},
            "pipelines": [
                {
                    "stream": "pump-health",
                    "inputs": [{"topic": "plant/{asset}", "timestamp": "ts"}],
                }
            ],
        }
    )
    pipeline = Pipeline(settings.pipelines[0], settings.limits)
    session = Session(bundle)
    session.replay_golden(bundle.golden)
    pipeline.activate(Model(session, bundle.sha256))
    route = pipeline.route("plant/p7")
    assert route is not None
    sent = []
    for index, (pressure, flow) in enumerate(samples.tolist()):
        moment = NOW_NS // 1_000_000 + index
        payload = json.dumps({"ts": moment, "pressure": pressure, "flow": flow}).encode()
        message = Received("plant/p7", payload, 1, retained=False, repeated=False, at_ns=NOW_NS)
        pipeline.take(route, message, Input(1, ("plant/p7", payload)))
        sent += pipeline.infer(lambda: NOW_NS)
    return [json.loads(one.payload) for one in sent]


def test_network_goes_from_its_file_to_a_prediction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = {
        "name": "probabilities",
        "tensor": "logits",
        "meaning": "of each",
        "classes": ["healthy", "bearing", "cavitation"],
    }
    command = write(
        tmp_path,
        convolution(1, softmax=True).SerializeToString(),
        task="classification",
        window={"length": LENGTH, "hop": LENGTH},
        input={"layout": "ncl"},
        outputs=[shares],
    )
    assert main(command) == 0
    path = tmp_path / "bundles" / "pump-health-1.zip"
    told = capsys.readouterr().out
    assert [
        part for part in ("not measured", "pytorch", str(path), "latency p99") if part not in told
    ] == []
    assert main(words("inspect", path)) == 0
    told = capsys.readouterr().out
    assert "packed by" in told
    assert "trained by" not in told
    given = windows(6, LENGTH)
    expected = original(convolution(softmax=True), given.transpose(0, 2, 1))[0]
    answers = predictions(path, given.reshape(-1, 2))
    assert [one["quality"] for one in answers] == ["GOOD"] * 6
    assert [one["label"] for one in answers] == [
        shares["classes"][index] for index in expected.argmax(axis=1)
    ]
    np.testing.assert_allclose([one["score"] for one in answers], expected.max(axis=1), rtol=1e-4)


def test_packed_bundle_is_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*write(tmp_path, linear().SerializeToString()), "--seq", "4"]) == 0
    registry, keys = tmp_path / "registry", ("--keys", tmp_path / "keys")
    assert main(words("registry", "init", registry, *keys)) == 0
    bundle = tmp_path / "bundles" / "pump-health-4.zip"
    assert main(words("publish", bundle, "--registry", registry, *keys)) == 0
    assert "published pump-health#4" in capsys.readouterr().out


def test_missing_signal_of_a_network_is_answered_bad(tmp_path: Path) -> None:
    assert main(write(tmp_path, linear().SerializeToString())) == 0
    samples = np.array([[1, 2], [-1, 2], [99, 2], [3, 4]])
    payloads = predictions(tmp_path / "bundles" / "pump-health-1.zip", samples)
    assert [one["quality"] for one in payloads] == ["GOOD", "BAD", "BAD", "GOOD"]
    assert [one["value"] for one in payloads] == [5, None, None, 11]


def test_refused_graph_is_told_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(write(tmp_path, b"no graph")) == 1
    assert names(capsys.readouterr().err, "millhand-trainer", f"{tmp_path}/net.onnx")
    assert not (tmp_path / "bundles").exists()


def test_mistakes_of_the_description_are_lines_and_exit_code_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = write(tmp_path, linear().SerializeToString(), windw={}, input={"layuot": "ncl"})
    assert main(command) == 78
    layout, window = capsys.readouterr().err.splitlines()
    assert names(layout, "input.layuot", "'layout'")
    assert names(window, "windw", "'window'")


def test_graph_that_is_not_there_is_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = write(tmp_path, b"")
    (tmp_path / "net.onnx").unlink()
    assert main(command) == 1
    assert names(capsys.readouterr().err, "net.onnx")


def test_seq_below_1_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*write(tmp_path, b""), "--seq", "0"]) == 2
    assert names(capsys.readouterr().err, "seq")


@pytest.mark.parametrize("example", EXAMPLES)
def test_description_in_the_guide_is_valid(tmp_path: Path, example: str) -> None:
    (tmp_path / "net.toml").write_text(example)
    wanted = read_declaration(tmp_path / "net.toml")
    assert wanted.classes[0] == "healthy"
    names = [output.name for output in wanted.promised()]
    assert names == ["value", "score", "probabilities"]
