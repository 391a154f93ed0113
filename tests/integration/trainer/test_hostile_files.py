"""Files that somebody else has written: an error for each of them, and no order to the terminal."""

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import tomli_w

from models.bundle.archive import write_archive
from models.bundle.manifest import Metrics
from models.bundle.manifest_json import write_manifest
from models.bundle.package import pack_bundle
from serving.publishing import repository
from serving.publishing.keys import Keys
from tests.kit.bundles.external import document, linear
from tests.kit.bundles.factories import make_channels, make_manifest, make_members
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.publishing import bundle_file
from tests.kit.wording import names
from trainer.__main__ import main

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\x7f\u202e"
ESCAPED = r"\u001b[2J"


def orders(text: str) -> list[str]:
    """The characters of a text that a terminal would obey."""
    return [
        character
        for character in text
        if character not in "\n\t" and unicodedata.category(character) in {"Cc", "Cf", "Cs"}
    ]


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    repository.init(tmp_path / "registry", Keys(tmp_path / "keys"))
    repository.publish(tmp_path / "registry", bundle_file(tmp_path, 1), Keys(tmp_path / "keys"))
    return tmp_path / "registry"


# --- a bundle -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_control_characters_of_a_bundle_are_shown_as_escapes(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plain = linear_bundle("pump-health", 1, [1.0, 2.0])
    channels = make_channels(2, unit=HOSTILE)
    manifest = plain.manifest.model_copy(update={"name": HOSTILE, "channels": channels})
    members = {
        "model.onnx": plain.model,
        "golden.npz": plain.golden,
        "reference.json": plain.reference,
        "report.html": plain.report,
    }
    (tmp_path / "b.zip").write_bytes(pack_bundle(manifest, members).content)
    assert main(["inspect", str(tmp_path / "b.zip"), *options]) == 0
    told = capsys.readouterr()
    assert orders(told.out + told.err) == []
    assert ESCAPED in told.out
    if options:
        assert json.loads(told.out)["manifest"]["name"] == HOSTILE


def written(folder: Path, **fields: object) -> str:
    """A bundle whose manifest has these fields, whatever they are; returns its path."""
    manifest = make_manifest()
    head = json.loads(write_manifest(manifest)) | fields
    members = {"manifest.json": json.dumps(head).encode(), **make_members(manifest)}
    (folder / "b.zip").write_bytes(write_archive(members))
    return str(folder / "b.zip")


@pytest.mark.parametrize("key", ["stream", "version"])
def test_control_characters_of_names_are_refused_and_not_repeated(
    tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in (HOSTILE, f"1.0.0{HOSTILE}", "1.0.0\n"):
        assert main(["inspect", written(tmp_path, **{key: value})]) == 1
        told = capsys.readouterr()
        assert names(told.err, "manifest.json", key)
        assert orders(told.out + told.err) == []


@pytest.mark.parametrize("created", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
def test_time_that_utc_cannot_express_is_an_error(
    tmp_path: Path, created: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", written(tmp_path, created=created)]) == 1
    assert names(capsys.readouterr().err, "created", "9999")


def test_interval_of_any_width_is_formatted() -> None:
    metrics = Metrics(
        split="s", test_rows=1, values={"mae": 0.0}, intervals={"mae": (-1.7e308, 1.7e308)}
    )
    assert metrics.formatted("mae") == "0"


# --- a registry ---------------------------------------------------------------------------------


def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    fields = json.loads(path.read_bytes())
    change(fields["signed"])
    path.write_bytes(json.dumps(fields).encode())


def custom(**fields: object) -> Callable[[dict[str, Any]], None]:
    def change(signed: dict[str, Any]) -> None:
        (target,) = signed["targets"].values()
        target["custom"] |= fields

    return change


def renamed(path: str) -> Callable[[dict[str, Any]], None]:
    def change(signed: dict[str, Any]) -> None:
        signed["targets"] = {path: next(iter(signed["targets"].values()))}

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("2.targets.json", custom(floor_seq="many"), id="floor a word"),
        pytest.param("2.targets.json", custom(floor_seq=[]), id="floor a list"),
        pytest.param("2.targets.json", custom(floor_seq=1e308), id="floor a float"),
        pytest.param("2.targets.json", custom(revoked="no"), id="revoked a word"),
        pytest.param(
            "2.targets.json", renamed(f"bundles/{HOSTILE}/1/{'0' * 64}.zip"), id="hostile name"
        ),
        pytest.param(
            "2.targets.json", renamed(f"bundles/a/\u0661/{'0' * 64}.zip"), id="arabic digit"
        ),
        pytest.param("2.snapshot.json", lambda s: s.update(meta={}), id="no list"),
        pytest.param("2.snapshot.json", lambda s: s.update(version=10**400), id="long version"),
        pytest.param("timestamp.json", lambda s: s.update(expires=HOSTILE), id="hostile time"),
        pytest.param("timestamp.json", lambda s: s.update(_type=HOSTILE), id="hostile role"),
    ],
)
def test_hostile_metadata_is_an_error_of_the_registry(
    registry: Path,
    name: str,
    change: Callable[[dict[str, Any]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    changed(registry / "metadata" / name, change)
    assert main(["registry", "list", str(registry)]) == 1
    told = capsys.readouterr()
    assert "[registry]" in told.err
    assert orders(told.out + told.err) == []


def test_metadata_without_an_end_is_an_error(
    registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = registry / "metadata" / "timestamp.json"
    path.write_bytes(path.read_bytes() + b" " * 100_000)
    assert main(["registry", "list", str(registry)]) == 1
    assert names(capsys.readouterr().err, "timestamp.json", "16384")


def test_named_pipe_is_an_error_and_nobody_waits_for_it(
    registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (registry / "metadata" / "timestamp.json").unlink()
    os.mkfifo(registry / "metadata" / "timestamp.json")
    assert main(["registry", "list", str(registry)]) == 1
    assert names(capsys.readouterr().err, "timestamp.json")


# --- an external graph --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("length", "-1"),
        ("length", "many"),
        ("length", "9" * 30),
        ("offset", "-1"),
        pytest.param("offset", "\x1b[2J", id="offset-escape"),
        ("location", "../weights.bin"),
        pytest.param("location", "\x1b[2J", id="location-escape"),
        ("location", ""),
    ],
)
def test_damaged_reference_to_weights_is_an_error(
    tmp_path: Path, key: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.onnx"
    options: dict[str, Any] = {"location": "weights.bin", "size_threshold": 0}
    onnx.save(linear(), path, save_as_external_data=True, **options)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == key:
                entry.value = value
    path.write_bytes(model.SerializeToString())
    (tmp_path / "net.toml").write_text(tomli_w.dumps(document()))
    command = ["pack", str(path), "--manifest", str(tmp_path / "net.toml"), "--out", str(tmp_path)]
    assert main(command) == 1
    told = capsys.readouterr()
    assert "[graph_invalid]" in told.err
    assert orders(told.out + told.err) == []


def test_constant_whose_values_are_in_a_file_is_read_from_the_same_folder_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = linear()
    constant = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [2, 1], [1.0, 2.0])
    constant.data_location = onnx.TensorProto.EXTERNAL
    entry = constant.external_data.add()
    entry.key, entry.value = "location", "/etc/hostname"
    constant.ClearField("float_data")
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["w"], value=constant))
    del model.graph.initializer[:]
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "net.toml").write_text(tomli_w.dumps(document()))
    path, description = str(tmp_path / "net.onnx"), str(tmp_path / "net.toml")
    assert main(["pack", path, "--manifest", description, "--out", str(tmp_path)]) == 1
    assert names(capsys.readouterr().err, "/etc/hostname", "same folder")
