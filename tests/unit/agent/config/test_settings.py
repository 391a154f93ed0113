"""Every mistake in the configuration is told with file, key, finding and remedy, all at once."""

import json
import os
import re
import select
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import tomli_w
from pydantic import BaseModel

from agent.cli.commands import load
from agent.config.settings import Limits, Settings
from serving.errors import EXIT_CONFIG, ConfigError
from serving.preflight.toml_file import MAX_FILE_BYTES
from tests.kit.wording import names

ROOT = Path(__file__).parents[4]
EXAMPLE = ROOT / "config/agent.toml"
COMMENTED_KEY = re.compile(r"^# (?=[a-z_]+ = |\[[a-z]+\]$)", re.MULTILINE)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("MILLHAND_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)


def document(**sections: Any) -> dict[str, Any]:  # noqa: ANN401  any TOML
    """A right configuration, with sections or pipelines replaced."""
    return {
        "gateway": {"id": "gw1"},
        "broker": {"host": "localhost"},
        "registry": {"url": "file:///srv/registry", "root": "/etc/millhand/root.json"},
        "pipelines": [pipeline()],
    } | sections


def pipeline(**fields: object) -> dict[str, object]:
    return {"stream": "rul", "inputs": [source()]} | fields


def source(**fields: object) -> dict[str, object]:
    return {"topic": "plant/{asset}/telemetry"} | fields


def write(folder: Path, content: Mapping[str, Any] | str | bytes) -> Path:
    path = folder / "agent.toml"
    if isinstance(content, Mapping):
        content = tomli_w.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def mistakes(folder: Path, content: Mapping[str, Any] | str | bytes) -> list[str]:
    """Every line that is told, without the file it begins with."""
    path = write(folder, content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith((f"{path}: ", "environment ")) for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_example_loads() -> None:
    settings = load(EXAMPLE)
    assert settings.pipelines[0].output_topic == "plant/{line}/{asset}/_inference/{stream}"


def test_every_key_that_the_example_shows_in_a_comment_is_a_right_one(tmp_path: Path) -> None:
    settings = load(write(tmp_path, COMMENTED_KEY.sub("", EXAMPLE.read_text())))
    assert settings.limits == Limits(), "the limits shown are not the defaults"


def test_example_shows_and_explains_every_key() -> None:
    text = EXAMPLE.read_text()
    shown = re.findall(r"^(?:# (?:or: )?)?([a-z_]+) = ", text, re.MULTILINE)
    missing = [name for name in keys(Settings) if name not in shown and f".{name}]" not in text]
    assert missing == [
        "gateway",
        "broker",
        "registry",
        "pipelines",
        "limits",
        "journal",
        "updates",
        "hard",
        "log",
        "proof",
        "sparkplug",
        "home_assistant",
        "metrics",
    ]
    told = [line for line in text.splitlines() if re.match(r"(# (or: )?)?[a-z_]+ = .*#", line)]
    assert len(told) >= len(shown) - 15, "most lines say what they are for"


def keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from keys(part)


@pytest.mark.parametrize(
    ("section", "node"),
    [
        ({"group_id": "line"}, ("line", "gw1")),
        ({"group_id": "line", "edge_node_id": "n1"}, ("line", "n1")),
    ],
    ids=["named after the gateway", "with a name of its own"],
)
def test_inputs_know_which_node_of_sparkplug_the_gateway_is(
    section: dict[str, str], node: tuple[str, str]
) -> None:
    settings = Settings.model_validate(document(sparkplug=section))
    (read,) = settings.pipelines[0].inputs
    assert read.bounds == (settings.limits.max_payload_bytes, node)


def test_smallest_configuration_has_defaults(tmp_path: Path) -> None:
    settings = load(write(tmp_path, document()))
    assert settings.broker.port == 1883
    assert settings.broker.receive_maximum == 200
    assert settings.gateway.state_dir == Path("/var/lib/millhand")
    assert settings.pipelines[0].output_topic == "plant/{asset}/_inference/{stream}"


@pytest.mark.parametrize(
    ("topic", "dialect", "output"),
    [
        ("plant/{line}/{asset}/telemetry", "json", "plant/{line}/{asset}/_inference/{stream}"),
        ("plant/{line}/{asset}", "json", "plant/{line}/{asset}/_inference/{stream}"),
        ("plant/{asset}/{signal}", "scalar", "plant/{asset}/_inference/{stream}"),
        ("furnace", "json", "furnace/_inference/{stream}"),
        ("/neuron/{node}", "json", "/neuron/{node}/_inference/{stream}"),
        ("/neuron/{node}/data", "json", "/neuron/{node}/_inference/{stream}"),
        ("plant/{line}/{path...}", "json", "_inference/{stream}/plant/{line}/{path...}"),
        ("/plant/{path...}", "json", "/_inference/{stream}/plant/{path...}"),
    ],
)
def test_predictions_go_below_the_asset_by_default(
    topic: str, dialect: str, output: str, tmp_path: Path
) -> None:
    given = pipeline(inputs=[source(topic=topic, dialect=dialect)])
    settings = load(write(tmp_path, document(pipelines=[given])))
    assert settings.pipelines[0].output_topic == output


@pytest.mark.parametrize(
    ("topic", "output"),
    [
        ("hub", "hub/{asset}/_inference/{stream}"),
        ("/hub/{site}/all", "/hub/{site}/{asset}/_inference/{stream}"),
        ("hub/{site}", "hub/{site}/{asset}/_inference/{stream}"),
    ],
)
def test_asset_of_the_payload_is_the_last_level_of_the_output(
    topic: str, output: str, tmp_path: Path
) -> None:
    given = pipeline(inputs=[source(topic=topic, asset="device")])
    settings = load(write(tmp_path, document(pipelines=[given])))
    assert settings.pipelines[0].output_topic == output


def test_overload_that_chooses_by_topic_is_told_where_payloads_name_the_asset(
    tmp_path: Path,
) -> None:
    given = pipeline(inputs=[source(topic="hub", asset="device")], overload="latest")
    (line,) = mistakes(tmp_path, document(pipelines=[given]))
    assert names(line, "pipelines[0]", "overload latest", "inputs[0]", "overload block")


def test_state_directory_of_systemd_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/private/millhand")
    settings = load(write(tmp_path, document()))
    assert settings.gateway.state_dir == Path("/var/lib/private/millhand")


SECTION_MISTAKES = {
    "shadow.share: found 1.0": ("shadow", {"share": 1.0}),
    "shadow.hard.storm.windows: found 5": ("shadow", {"hard": {"storm": {"windows": 5}}}),
    "broker.port: found 0": ("broker", {"port": 0}),
    "broker.port: found 'mqtt'": ("broker", {"port": "mqtt"}),
    "broker.host: found ''": ("broker", {"host": ""}),
    "broker.host: found 1883": ("broker", {"host": 1883}),
    "broker.protocol: found '4'": (
        "broker",
        {"protocol": "4"},
    ),
    "broker.keepalive_s: found nan": ("broker", {"keepalive_s": float("nan")}),
    "broker.reconnect_max_s: found inf": ("broker", {"reconnect_max_s": float("inf")}),
    "broker.connect_timeout_s: found nan": ("broker", {"connect_timeout_s": float("nan")}),
    "broker.receive_maximum: found 70000": (
        "broker",
        {"receive_maximum": 70_000},
    ),
    "broker.password: ": ("broker", {"password": "hunter2"}),
    "broker: password_file": ("broker", {"password_file": "/x"}),
    "broker: cert_file and key_file": ("broker", {"tls": True, "cert_file": "/x"}),
    "broker: cert_file needs TLS": ("broker", {"cert_file": "/x", "key_file": "/y"}),
    "gateway.id: found 'gw 1'": ("gateway", {"id": "gw 1"}),
    "gateway.id: found '+'": ("gateway", {"id": "+"}),
    "registry: url is 'ftp://x'": (
        "registry",
        {"url": "ftp://x"},
    ),
    "registry: url is '/srv/registry'": ("registry", {"url": "/srv/registry"}),
    "registry.poll_s: found -1": ("registry", {"poll_s": -1}),
    "limits.max_batch: found 0": ("limits", {"max_batch": 0}),
    "limits.max_batches: ": ("limits", {"max_batches": 5}),
    "limits.earliest: found '2000-01-01T00:00:00'": ("limits", {"earliest": "2000-01-01T00:00:00"}),
}


@pytest.mark.parametrize(("told", "change"), SECTION_MISTAKES.items(), ids=SECTION_MISTAKES)
def test_mistake_in_a_section_is_told(
    told: str, change: tuple[str, dict[str, object]], tmp_path: Path
) -> None:
    section, fields = change
    right = document()
    (line,) = mistakes(tmp_path, right | {section: right.get(section, {}) | fields})
    assert line.startswith(told)


INPUT_MISTAKES = {
    "topic: found ''": {"topic": ""},
    "topic: found 'plant/+/t'": {"topic": "plant/+/t"},
    "dialect: found 'xml'": {"dialect": "xml"},
    "qos: found 2": {"qos": 2},
    "qos: found True; ": {"qos": True},
    "timestamp_unit: found 'min'": {"timestamp_unit": "min"},
    "timezone: found 'Mars/Olympus'": {
        "timestamp": "t",
        "timestamp_unit": "iso8601",
        "timezone": "Mars/Olympus",
    },
    "quality_map: found 'opcda'; allowed are opc_da, ": {"quality": "q", "quality_map": "opcda"},
    "quality_map: '0' is 'fine'; allowed are GOOD, ": {
        "quality": "q",
        "quality_map": {"0": "fine"},
    },
    "quality_map: the table has 0 entries; ": {"quality": "q", "quality_map": {}},
    "signals.pump 1.[key]: found 'pump 1'": {"signals": {"pump 1": "x"}},
    "signals.pressure: found 7": {"signals": {"pressure": 7}},
    "signal: ": {"signal": {"pressure": "p"}},
    "timestamp: found 't..s'": {"timestamp": "t..s"},
    "quality: found 'q[*]'": {"quality": "q[*]"},
}


@pytest.mark.parametrize(("told", "fields"), INPUT_MISTAKES.items(), ids=INPUT_MISTAKES)
def test_mistake_in_an_input_is_told_with_its_number(
    told: str, fields: dict[str, object], tmp_path: Path
) -> None:
    (line,) = mistakes(tmp_path, document(pipelines=[pipeline(inputs=[source(**fields)])]))
    assert line.startswith(f"pipelines[0].inputs[0].{told}")


WHOLE_INPUT_MISTAKES = {
    ("scalar", "topic"): source(dialect="scalar"),
    ("umh", "topic"): source(dialect="umh", signals={"a": "x", "b": "y"}),
    ("json", "{signal}"): source(topic="p/{asset}/{signal}"),
    ("signals", "level"): source(
        topic="p/{asset}/{signal}", dialect="scalar", signals={"a": "x", "b": "x"}
    ),
    ("signals", "two", "tag"): source(dialect="kepware", signals={"a": "x", "b": "x"}),
    ("signals", "two", "same tag"): source(
        topic="spBv1.0/{g}/{type}/{n}/{d}", dialect="sparkplug", signals={"a": "x", "b": "x"}
    ),
    ("quality_map needs quality", "path"): source(
        topic="v1/gateway", dialect="thingsboard-gateway", quality_map="words"
    ),
    ("umh", "timestamp, quality"): source(
        topic="p/{asset}/{signal}", dialect="umh", timestamp="t", quality="q"
    ),
    ("thingsboard", "sequence"): source(dialect="thingsboard", sequence="n"),
    ("json", "value"): source(value="v"),
    ("quality_map", "quality"): source(quality_map="opc_ua"),
    ("timezone", "iso8601"): source(timestamp="t", timezone="Europe/Berlin"),
    ("timezone", "timestamp"): source(timestamp_unit="iso8601", timezone="Europe/Berlin"),
    ("json", "encoding"): source(encoding="json"),
    ("block", "json, base64 or float32"): source(dialect="block"),
    ("float32", "timestamp, value"): source(
        dialect="block", encoding="float32", timestamp="t", value="v"
    ),
    ("signals: flow", "'v[x]'", "character 3"): source(signals={"flow": "v[x]"}),
    ("signals: flow", "every element", "[?id=FT101]"): source(signals={"flow": "v[*].v"}),
    ("a and b", "the path a[?id=1]", "its own"): source(
        signals={"a": 'a[?"id"=1]', "b": "a[?id=1]"}
    ),
    ("a and b", "the path x"): source(
        dialect="block", encoding="json", signals={"a": '"x"', "b": "x"}
    ),
    ("umh", "asset, signal"): source(
        topic="p/{a}/{signal}", dialect="umh", asset="device", signal="tag"
    ),
    ("json", "no use for signal"): source(signal="tag"),
    ("asset", "level {asset}", "path device"): source(asset="device"),
    ("signal", "level {signal}", "path tag"): source(
        topic="p/{a}/{signal}", dialect="scalar", signal="tag"
    ),
    ("asset", "variable depth"): source(topic="p/{path...}", asset="device"),
    ("signals", "two"): source(
        topic="p/{asset}/{signal}",
        dialect="block",
        encoding="json",
        signals={"a": "x", "b": "x"},
    ),
}


@pytest.mark.parametrize(
    ("values", "fields"),
    WHOLE_INPUT_MISTAKES.items(),
    ids=[" ".join(values) for values in WHOLE_INPUT_MISTAKES],
)
def test_input_whose_keys_do_not_go_together_is_told(
    values: tuple[str, ...], fields: dict[str, object], tmp_path: Path
) -> None:
    (line,) = mistakes(tmp_path, document(pipelines=[pipeline(inputs=[fields])]))
    assert names(line, "pipelines[0].inputs[0]", *values)


def test_blocks_beside_other_inputs_are_told(tmp_path: Path) -> None:
    inputs = [source(), source(topic="b/{asset}", dialect="block", encoding="float32")]
    (line,) = mistakes(tmp_path, document(pipelines=[pipeline(inputs=inputs)]))
    assert names(line, "pipelines[0]", "json, block")


def test_pipeline_without_inputs_is_told(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, document(pipelines=[pipeline(inputs=[])]))
    assert line.startswith("pipelines[0].inputs: ")
    (line,) = mistakes(tmp_path, document(pipelines=[]))
    assert line.startswith("pipelines: ")


def test_output_that_needs_a_level_which_an_input_does_not_name_is_told(tmp_path: Path) -> None:
    given = pipeline(output={"topic": "out/{line}/{asset}/{stream}"})
    (line,) = mistakes(tmp_path, document(pipelines=[given]))
    assert names(line, "pipelines[0]", "['line']", "inputs[0].topic", "['asset']")


def test_stream_with_two_pipelines_is_told(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, document(pipelines=[pipeline(), pipeline()]))
    assert names(line, "file", "'rul'")


@pytest.mark.parametrize(
    ("topic", "output"),
    [
        ("plant/{asset}/{kind}", {"topic": "plant/{asset}/rul"}),
        ("plant/{asset}/{kind}", {"topic": "plant/{asset}/{stream}"}),
        ("plant/{asset}/x/value", {"topic": "plant/{asset}/x", "scalars": True}),
        ("plant/{path...}", {"topic": "plant/predictions/{stream}/{path...}"}),
        ("{site}/{path...}", {}),
    ],
)
def test_input_that_would_read_the_predictions_is_told(
    topic: str, output: dict[str, object], tmp_path: Path
) -> None:
    given = pipeline(inputs=[source(topic=topic)], output=output)
    (line,) = mistakes(tmp_path, document(pipelines=[given]))
    assert names(line, "file", f"'{topic}'")


def test_input_that_would_read_the_predictions_about_one_asset_is_told(tmp_path: Path) -> None:
    writer = pipeline(output={"topic": "plant/{asset}/rul"})
    reader = pipeline(stream="other", inputs=[source(topic="plant/p1/{kind}")])
    reader["output"] = {"topic": "other"}
    (line,) = mistakes(tmp_path, document(pipelines=[writer, reader]))
    assert names(line, "'plant/p1/{kind}'", "'plant/{asset}/rul'")


@pytest.mark.parametrize("other", ["plant/{line}/{asset}/row", "plant/{asset}", "plant/l1"])
def test_inputs_of_which_one_has_every_depth_are_told_where_they_overlap(
    other: str, tmp_path: Path
) -> None:
    streams = [
        pipeline(inputs=[source(topic="plant/{path...}")]),
        pipeline(stream="other", inputs=[source(topic=other)], output={"topic": "other"}),
    ]
    (line,) = mistakes(tmp_path, document(pipelines=streams))
    assert names(line, "'plant/#'", "arrive twice")


def test_missing_section_and_key_are_told(tmp_path: Path) -> None:
    found = mistakes(tmp_path, {"broker": {}, "registry": {"url": "file:///x"}})
    assert [line.split(": ")[0] for line in found] == [
        "gateway",
        "broker.host",
        "registry.root",
        "pipelines",
    ]


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    wrong = document(
        gateway={"id": "a b"},
        broker={"host": "x", "port": 0, "prot": 1},
        pipelines=[pipeline(inputs=[source(qos=3)]), pipeline(stream="/")],
    )
    told = [line.split(": ")[0] for line in mistakes(tmp_path, wrong)]
    assert told == [
        "gateway.id",
        "broker.port",
        "broker.prot",
        "pipelines[0].inputs[0].qos",
        "pipelines[1].stream",
    ]


def test_long_finding_is_cut(tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, document(gateway={"id": "x" * 50_000}))
    assert len(line) < 500


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"gateway = ", "is not TOML: "),
        (b"\xff", "is not TOML: "),
        (b"a = 1\na = 2\n", "is not TOML: "),
        (b"a = " + b"[" * 30_000, "is not TOML: "),
        (b"a = " + b"9" * 10_000, "is not TOML: "),
        (b"#" * (MAX_FILE_BYTES + 1), f"larger than {MAX_FILE_BYTES} bytes"),
    ],
    ids=["cut off", "not UTF-8", "twice", "nested", "huge number", "bomb"],
)
def test_file_that_is_no_configuration_is_told(content: bytes, told: str, tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, content)
    assert line.startswith(told)


@pytest.mark.parametrize("name", ["_cli_parse_args", "__pydantic_self__", "Gateway"])
def test_key_that_only_a_library_could_know_is_no_setting(name: str, tmp_path: Path) -> None:
    (line,) = mistakes(tmp_path, {name: True, **document()})
    assert line.startswith(f"{name}: is not a setting")


def test_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match="--config"):
            load(path)


def test_file_longer_than_the_cap_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match="larger than"):
        load(path)


@pytest.mark.parametrize(
    "registry",
    [
        {"url": "https://gateway-1:hunter2@models.example/registry", "root": "r"},
        {"url": "https://models.example/registry?token=hunter2", "root": "r"},
        {"url": "https://u:hunt/hunter2@models.example/registry", "root": "r"},
        {"url": "ftp://u:hunter2@models.example/registry", "root": "r"},
        {"url": "https://models.example", "root": "r", "allowed_origins": ["https://u:hunter2@h"]},
        {"url": "https://[hunter2", "root": "r"},
        {"url": ["https://u:hunter2@models.example/registry"], "root": "r"},
        "https://u:hunter2@models.example/registry",
    ],
)
@pytest.mark.parametrize("is_variable", [False, True])
def test_secret_in_an_address_of_the_registry_is_refused_and_not_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    registry: dict[str, object] | str,
    is_variable: bool,  # noqa: FBT001  pytest passes it by name
) -> None:
    content = document()
    if is_variable:
        monkeypatch.setenv("MILLHAND_REGISTRY", json.dumps(registry))
    else:
        content["registry"] = registry
    told = "\n".join(mistakes(tmp_path, content))
    assert "registry" in told
    assert "hunter2" not in told


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that would take a connection, if anybody tried."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def run_agent(config: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent", "run", "--config", str(config)],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def was_touched(server: socket.socket) -> bool:
    readable, _, _ = select.select([server], [], [], 0)
    return bool(readable)


def test_run_ends_with_78_before_any_connection(tmp_path: Path, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    wrong = document(
        broker={"host": "127.0.0.1", "port": port},
        registry={"url": f"http://127.0.0.1:{port}", "root": "/nowhere/root.json"},
        limits={"max_batch": 0},
    )
    ended = run_agent(write(tmp_path, wrong))
    assert ended.returncode == EXIT_CONFIG
    assert f"{tmp_path}/agent.toml: limits.max_batch: found 0; " in ended.stderr
    assert not was_touched(listener)


def test_missing_files_end_with_78_before_any_connection(
    tmp_path: Path, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    state = tmp_path / "state"
    state.write_text("a file where the folder should be")
    wrong = document(
        gateway={"id": "gw1", "state_dir": str(state)},
        broker={
            "host": "127.0.0.1",
            "port": port,
            "username": "gw1",
            "password_file": str(tmp_path / "password"),
            "ca_file": str(tmp_path),
        },
        registry={"url": f"http://127.0.0.1:{port}", "root": str(tmp_path / "root.json")},
    )
    ended = run_agent(write(tmp_path, wrong))
    told = [line.removeprefix(f"{tmp_path}/agent.toml: ") for line in ended.stderr.splitlines()]
    assert ended.returncode == EXIT_CONFIG
    assert [line.split(": ")[0] for line in told] == [
        "registry.root",
        "broker.password_file",
        "broker.ca_file",
        "gateway.state_dir",
    ]
    assert not was_touched(listener)


def test_check_tells_the_same_and_connects_to_nothing(
    tmp_path: Path, listener: socket.socket
) -> None:
    (tmp_path / "root.json").write_text("{}")
    right = document(
        gateway={"id": "gw1", "state_dir": str(tmp_path / "state")},
        broker={"host": "127.0.0.1", "port": listener.getsockname()[1]},
        registry={
            "url": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "root": str(tmp_path / "root.json"),
        },
    )
    ended = subprocess.run(
        [sys.executable, "-m", "agent", "check", "--config", str(write(tmp_path, right))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "plant/+/telemetry as json, QoS 1" in ended.stdout
    assert not was_touched(listener)


def test_example_is_plain_toml() -> None:
    assert tomllib.loads(EXAMPLE.read_text())["gateway"]["id"] == "gateway-1"
