import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from models.bundle.explain import Explain
from models.bundle.manifest import (
    MAX_WINDOW_VALUES,
    Channel,
    Lineage,
    Manifest,
    MemberFile,
    Metrics,
    Output,
    WindowSpec,
    utc,
)
from models.bundle.manifest_json import read_manifest, write_manifest
from models.bundle.optimised import Optimised
from models.errors import BundleError, ManifestError
from tests.kit.bundles.factories import make_channels, make_manifest
from tests.kit.wording import names, naming

SCORE = Output(name="score", dtype="float32", meaning="how sure")
CLASS = Output(name="value", dtype="int64", meaning="state", classes=("good", "worn"))
NUMBER = Output(name="value", dtype="float32", meaning="hours left")
EXPLAIN = Explain(when="alarm", method="shapley", orders=8, reference=3, output="value")
FILE = MemberFile(name="model.onnx", sha256="0" * 64, size=1)


def altered(**changes: object) -> bytes:
    """The JSON of a valid manifest with the values at some places changed, `a__0__b` for a.0.b."""
    fields = json.loads(write_manifest(make_manifest(files=(FILE,))))
    for place, value in changes.items():
        *parents, last = place.split("__")
        part: Any = fields
        for key in parents:
            part = part[int(key) if key.isdecimal() else key]
        part[last] = value
    return json.dumps(fields).encode()


def refusal(content: bytes) -> str:
    with pytest.raises(ManifestError) as caught:
        read_manifest(content)
    return str(caught.value)


@pytest.mark.parametrize("width", [1, 8, 4096])
def test_manifest_of_any_width_is_read_as_it_was_written(width: int) -> None:
    manifest = make_manifest(width, length=3)
    assert read_manifest(write_manifest(manifest)) == manifest


def test_every_optional_field_survives_the_round_trip() -> None:
    manifest = make_manifest(
        task="classification",
        outputs=(CLASS, SCORE, Output(name="probabilities", dtype="float32", meaning="each")),
        channels=make_channels(2, missing="require", max_age_ms=0, valid_range=(-1e-9, 1e300)),
        window=WindowSpec(length=60, hop=7, sample_period_ms=1000, max_gap_ms=5000),
        name="Gütegrad der Pumpe ☃",
    )
    assert read_manifest(write_manifest(manifest)) == manifest


def test_equal_manifests_are_written_as_equal_bytes() -> None:
    forward, backward = {"mae": 1.0, "r2": 0.9}, {"r2": 0.9, "mae": 1.0}
    first, second = (
        make_manifest(
            metrics=Metrics(split="by asset", test_rows=1, values=order),
            lineage=Lineage(
                data=dict.fromkeys(order, "a" * 64),
                code_version="0.1.0",
                packages=dict.fromkeys(order, "1"),
                seed=1,
            ),
        )
        for order in (forward, backward)
    )
    assert write_manifest(first) == write_manifest(second)


def test_a_time_of_creation_in_another_zone_is_written_in_utc() -> None:
    summer = timezone(timedelta(hours=2))
    manifest = make_manifest(created=datetime(2026, 7, 1, 12, tzinfo=summer))
    assert b'"created": "2026-07-01T10:00:00Z"' in write_manifest(manifest)
    assert utc(datetime(2026, 7, 1, 12, tzinfo=summer)) == "2026-07-01T10:00:00Z"


def test_a_time_of_creation_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        make_manifest(created=datetime(2026, 7, 1, 12))  # noqa: DTZ001 - the point of the test


def test_a_manifest_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(make_manifest(), "seq", 2)  # noqa: B010 - mypy would refuse the plain form


@pytest.mark.parametrize("version", [None, 0, 3, "1", True, 1.0, [1], "x" * 10_000])
def test_another_schema_version_is_told_with_the_one_expected(version: object) -> None:
    message = refusal(altered(schema_version=version))
    assert "schema_version" in message
    assert "1" in message
    assert len(message) < 200


def test_codes_need_schema_2_and_older_manifests_stay_as_they_were() -> None:
    channel = Channel(name="valve", codes={"open": 1.0, "closed": 0.0})
    with pytest.raises(ValidationError, match=r"codes and offset .* need schema_version 2"):
        make_manifest(channels=(channel,), schema_version=1)
    manifest = make_manifest(channels=(channel,))
    assert manifest.schema_version == 2
    assert read_manifest(write_manifest(manifest)) == manifest
    assert b"codes" not in write_manifest(make_manifest())
    assert b'"schema_version": 1' in write_manifest(make_manifest())


def test_an_explanation_needs_schema_2_and_older_manifests_stay_as_they_were() -> None:
    with pytest.raises(ValidationError, match="explain"):
        make_manifest(explain=EXPLAIN, schema_version=1)
    manifest = make_manifest(explain=EXPLAIN)
    assert manifest.schema_version == 2
    assert read_manifest(write_manifest(manifest)) == manifest
    assert b"explain" not in write_manifest(make_manifest())


def test_a_network_in_eight_bits_needs_schema_2_and_others_say_nothing() -> None:
    one = Optimised(
        metric="rmse", before=1.0, after=1.01, bytes_before=4_000, bytes_after=1_000, worst=0.1
    )
    with pytest.raises(ValidationError, match="optimised"):
        make_manifest(optimised=one, schema_version=1)
    manifest = make_manifest(optimised=one, schema_version=2)
    assert read_manifest(write_manifest(manifest)) == manifest
    assert b"optimised" not in write_manifest(make_manifest())


def test_an_explanation_may_not_exchange_too_many_signals() -> None:
    wide = EXPLAIN.model_copy(update={"orders": 64})
    with pytest.raises(ValidationError, match="too many for 4096 signals"):
        make_manifest(4096, explain=wide)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        pytest.param({"reference": 4}, "4 golden windows", id="no-such-golden-window"),
        pytest.param({"output": "score"}, "outputs are value", id="no-such-output"),
        pytest.param({"alarms": [0]}, "0 classes", id="no-such-class"),
        pytest.param({"orders": 0}, "allowed are 2, 4", id="no-orders"),
        pytest.param({"orders": 3}, "multiple of 2", id="odd-orders"),
        pytest.param({"method": "occlusion"}, "0 for 'occlusion'", id="orders-of-occlusion"),
        pytest.param({"when": "never"}, "always", id="never"),
    ],
)
def test_an_explanation_that_does_not_fit_is_refused(fields: dict[str, object], named: str) -> None:
    parts = EXPLAIN.model_dump(mode="json") | fields
    assert named in refusal(altered(schema_version=2, explain=parts))


def test_a_manifest_without_a_schema_version_is_refused() -> None:
    assert "reads 1" in refusal(b"{}")


@pytest.mark.parametrize(
    ("place", "known"),
    [
        ("colour", "stream, name, version, seq"),
        ("channels__1__colour", "valid_range, missing"),
        ("window__stride", "length, hop"),
        ("outputs__0__colour", "dtype, meaning"),
        ("golden__colour", "count, atol, rtol"),
        ("metrics__colour", "test_rows"),
        ("lineage__colour", "code_version"),
        ("budget__colour", "model_bytes"),
        ("files__0__colour", "name, sha256, size"),
    ],
)
def test_an_unknown_key_is_told_with_those_known(place: str, known: str) -> None:
    message = refusal(altered(**{place: "red"}))
    assert f"{place.replace('__', '.')}: unknown key" in message
    assert known in message


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("stream", "pump health"),
        ("stream", "../x"),
        ("stream", "pump/health"),
        ("stream", "pump\n"),
        ("stream", "p" * 65),
        ("version", "1.0"),
        ("version", "1.0.\N{ARABIC-INDIC DIGIT THREE}"),
        ("seq", 0),
        ("seq", "1"),
        ("seq", 1.5),
        ("seq", 2**53),
        ("created", 0),
        ("created", "2026-07-01T12:00:00"),
        ("task", "forecast"),
        ("channels", []),
        ("channels__0__valid_range", [0, 1, 2]),
        ("channels__0__missing", "ignore"),
        ("channels__0__max_age_ms", -1),
        ("window__length", 0),
        ("window__hop", 0),
        ("window__max_gap_ms", 0),
        ("outputs", []),
        ("golden__count", 0),
        ("golden__atol", -1),
        ("lineage__data", {"history.csv": "abc"}),
        ("budget", None),
    ],
    ids=lambda argument: str(argument)[:24],
)
def test_a_value_out_of_bounds_is_refused_by_its_place(place: str, value: object) -> None:
    assert place.replace("__", ".") in refusal(altered(**{place: value}))


def test_a_manifest_without_one_of_its_parts_is_refused_by_its_name() -> None:
    fields = json.loads(altered())
    del fields["budget"]
    assert "budget: is missing" in refusal(json.dumps(fields).encode())


def test_a_range_without_width_is_refused_by_its_channel() -> None:
    message = refusal(altered(channels__1__valid_range=[1.0, 1.0]))
    assert names(message, "channels.1", "c1", "(1.0, 1.0)")


def test_names_that_repeat_are_told() -> None:
    with pytest.raises(ValidationError, match=naming("c0")):
        make_manifest(channels=make_channels(2) + make_channels(1))
    with pytest.raises(ValidationError, match=naming("value")):
        make_manifest(outputs=(NUMBER, NUMBER))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"[" * 100_000,
        b'{"schema_version": 1',
        b'{"schema_version": 1, "name": "\\ud800"}',
        b'\xef\xbb\xbf{"schema_version": 1}',
        b'{"schema_version": ' + b"9" * 5000 + b"}",
    ],
    ids=[
        "empty",
        "no text",
        "null",
        "list",
        "100000 brackets",
        "cut off",
        "half a surrogate pair",
        "byte order mark",
        "5000 digits",
    ],
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    assert refusal(content).startswith("manifest.json ")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(number: str) -> None:
    content = altered(golden__atol=12345.5).replace(b"12345.5", number.encode())
    assert "golden.atol" in refusal(content)


def test_of_many_mistakes_the_first_are_told_and_the_others_counted() -> None:
    message = refusal(altered(**{f"{'k' * 500}{n}": 1 for n in range(50)}))
    assert message.endswith("and 40 more")
    assert len(message) < 5000


def test_several_mistakes_are_told_at_once() -> None:
    message = refusal(altered(seq=0, task="forecast", colour="red"))
    assert all(place in message for place in ("seq", "task", "colour"))


@pytest.mark.parametrize(
    ("task", "outputs", "reason"),
    [
        ("regression", (SCORE,), "'value'"),
        ("regression", (SCORE, NUMBER), "'value'"),
        ("regression", (CLASS,), "'value'.*float32.*int64"),
        ("classification", (NUMBER,), "'value'.*int64.*float32"),
        ("anomaly", (NUMBER, SCORE), "'value'.*int64"),
        (
            "anomaly",
            (CLASS, SCORE.model_copy(update={"dtype": "int64"})),
            "'score'.*float32",
        ),
    ],
)
def test_outputs_that_do_not_fit_the_task_are_refused(
    task: str, outputs: tuple[Output, ...], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        make_manifest(task=task, outputs=outputs)


def test_a_window_has_a_bounded_number_of_values() -> None:
    assert make_manifest(10, length=65_536)
    with pytest.raises(ValidationError, match=str(MAX_WINDOW_VALUES)):
        make_manifest(16, length=65_536)


def test_an_output_is_found_by_its_name() -> None:
    manifest = make_manifest(task="anomaly", outputs=(CLASS, SCORE))
    assert manifest.output("score") == SCORE
    assert manifest.output("probabilities") is None


def test_the_schema_says_what_a_channel_needs() -> None:
    assert Manifest.model_json_schema()["$defs"][Channel.__name__]["required"] == ["name"]


def test_a_manifest_error_is_a_bundle_error_with_a_code_of_its_own() -> None:
    assert issubclass(ManifestError, BundleError)
    assert (ManifestError.code, BundleError.code) == ("manifest_invalid", "bundle_invalid")


def test_times_are_written_with_a_z() -> None:
    assert utc(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00Z"
