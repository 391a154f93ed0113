"""The text file of metrics is what Prometheus reads, and a bad place for it only costs metrics."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.control import Control
from agent.metrics.textfile import Textfile, rendered
from models.control.documents import Current, Feedback, Metrics
from models.control.families import FAMILIES
from models.control.rollout import Evidence
from models.control.series import Said
from serving.worker import WakeUp, Worker
from tests.kit.waiting import eventually

PUMP = {
    "predictions": {"GOOD": 10, "BAD": 2},
    "bad": {"input_missing": 2},
    "missing": {"flow": 3, "pressure": 4},
    "refused": {"late": 2},
    "forgotten_assets": 1,
    "shed": 6,
    "explanations": {"made": 1},
    "batch_ms": 0.25,
    "duration_us": {"bounds": [100, 1000], "counts": [7, 2, 1], "total": 2500},
    "age_ms": {"bounds": [10], "counts": [0, 12], "total": 24000},
    "drift": {
        "alarm": True,
        "worst": "flow",
        "view": "level",
        "asset": "l1/p7",
        "ratio": 1.5,
        "watched": 2,
        "unwatched": 0,
    },
}
METRICS = {
    "since": "2026-11-29T10:00:00.000Z",
    "received": 20,
    "predicted": 12,
    "windowed": 4,
    "dropped": {"not_json": 1, "late": 2},
    "waiting": 1,
    "redelivered": 3,
    "connects": 2,
    "sessions_lost": 1,
    "textfile_failures": 5,
    "metadata_age_s": 90.5,
    "sparkplug": {
        "connects": 2,
        "messages": {"NBIRTH": 1, "DDATA": 8},
        "predictions": 8,
        "unchanged": 3,
        "waiting": 4,
        "dropped": {"waiting_full": 6},
        "commands_refused": {"retained": 1, "not_writable": 1},
    },
    "streams": {"pump": PUMP},
}
DIGEST = "ab" * 32
CURRENT = {
    "stream": "pump",
    "state": "degraded",
    "seq": 7,
    "version": "1.0.7",
    "sha256": DIGEST,
    "rollout": {"id": "r7", "epoch": 1, "stage": 2, "group": "first", "state": "shadow"},
    "quarantined": [{"seq": 6, "sha256": DIGEST, "code": "failed"}],
}
FEEDBACK = {"stream": "pump", "seq": 8, "state": "refused", "error": "golden_mismatch"}
EVIDENCE = {
    "stream": "pump",
    "rollout": "r7",
    "champion": 7,
    "candidate": 8,
    "block_s": 600.0,
    "compared": 900,
    "left_out": {"full": 20, "late": 3},
    "gates": {
        "disagreement": {"kind": "rate", "hits": 2, "misses": 39, "limit": 0.03, "log_e": -0.5},
        "no\nname": {"kind": "rate", "hits": 1, "misses": 1},
    },
}
Read = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def said(gateway: str = "gw1", metrics: Mapping[str, object] | None = None) -> Said:
    return Said(
        gateway,
        online=True,
        release="1.2.0",
        metrics=Metrics.model_validate(metrics or METRICS),
        current={"pump": Current.model_validate(CURRENT)},
        outcomes={"pump": Feedback.model_validate(FEEDBACK)},
        evidence={"pump": Evidence.model_validate(EVIDENCE)},
    )


def read(text: bytes) -> Read:
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
    }


def one_of(found: Read, name: str, **labels: str) -> float:
    (value,) = [
        value
        for (known, has), value in found.items()
        if known == name and set(labels.items()) <= has
    ]
    return value


def test_every_family_is_written_with_its_meaning_its_type_and_without_a_time() -> None:
    text = rendered(said()).decode()
    found = list(text_string_to_metric_families(text))
    names = {one.name for one in found}
    assert names == {one.name.removesuffix("_total") for one in FAMILIES}
    assert {one.documentation for one in found} == {one.meaning for one in FAMILIES}
    assert {one.type for one in found} == {"gauge", "counter", "histogram"}
    assert all(sample.timestamp is None for one in found for sample in one.samples)


def test_samples_are_those_of_the_documents() -> None:
    found = read(rendered(said()))
    stream = {"gateway": "gw1", "stream": "pump"}
    wanted = [
        ("millhand_gateway_online", {}, 1),
        ("millhand_agent_info", {"version": "1.2.0"}, 1),
        ("millhand_agent_start_time_seconds", {}, 1_795_946_400),
        ("millhand_readings_received_total", {}, 20),
        ("millhand_readings_total", {"outcome": "dropped", "reason": "late"}, 2),
        ("millhand_readings_total", {"outcome": "predicted", "reason": ""}, 12),
        ("millhand_textfile_failures_total", {}, 5),
        ("millhand_predictions_total", {**stream, "role": "champion", "quality": "GOOD"}, 10),
        ("millhand_missing_values_total", stream, 7),
        ("millhand_batch_duration_seconds", stream, 0.00025),
        ("millhand_metadata_age_seconds", {}, 90.5),
        ("millhand_sparkplug_connects_total", {}, 2),
        ("millhand_sparkplug_messages_total", {"kind": "DDATA"}, 8),
        ("millhand_sparkplug_predictions_total", {"outcome": "published", "reason": ""}, 8),
        ("millhand_sparkplug_predictions_total", {"outcome": "dropped"}, 6),
        ("millhand_sparkplug_waiting_predictions", {}, 4),
        ("millhand_sparkplug_refused_commands_total", {}, 2),
        ("millhand_prediction_duration_seconds_bucket", {**stream, "le": "0.0001"}, 7),
        ("millhand_prediction_duration_seconds_bucket", {**stream, "le": "0.001"}, 9),
        ("millhand_prediction_duration_seconds_bucket", {**stream, "le": "+Inf"}, 10),
        ("millhand_prediction_duration_seconds_sum", stream, 0.0025),
        ("millhand_input_age_seconds_count", stream, 12),
        ("millhand_drift_ratio", {**stream, "view": "level"}, 1.5),
        ("millhand_drift_alarm", {**stream, "view": "level"}, 1),
        ("millhand_gateway_model_info", {"seq": "7", "version": "1.0.7", "digest": DIGEST}, 1),
        ("millhand_stream_state", {**stream, "state": "degraded"}, 1),
        ("millhand_quarantined_bundles", stream, 1),
        ("millhand_update_state", {**stream, "state": "refused"}, 1),
        ("millhand_rollout_state", {"rollout": "r7", "group": "first", "state": "shadow"}, 1),
        ("millhand_shadow_windows_total", {**stream, "outcome": "left_out"}, 23),
        ("millhand_shadow_blocks_total", {**stream}, 41),
        ("millhand_shadow_discordant_total", {**stream, "gate": "disagreement"}, 2),
        ("millhand_gate_log_evalue", {**stream, "gate": "disagreement"}, -0.5),
    ]
    assert [one_of(found, name, **labels) for name, labels, _ in wanted] == [
        value for _, _, value in wanted
    ]


def test_finished_and_waiting_readings_add_up_to_those_received() -> None:
    found = read(rendered(said()))
    finished = sum(v for (name, _), v in found.items() if name == "millhand_readings_total")
    waiting = one_of(found, "millhand_waiting_readings")
    assert one_of(found, "millhand_readings_received_total") == finished + waiting


def test_no_label_names_an_asset_or_takes_what_a_payload_chose() -> None:
    hostile = {
        **METRICS,
        "dropped": {f"reason {n}": 1 for n in range(500)},
        "streams": {
            **{f"stream{n}": PUMP for n in range(200)},
            "no name\n{": PUMP,
        },
    }
    found = read(rendered(said('gw"\\\n1', hostile)))
    reasons = {dict(has).get("reason") for _, has in found}
    assert reasons == {None, "", "other", "input_missing", "late", "waiting_full"}
    assert len({dict(has).get("stream") for name, has in found if "shed" in name}) == 64
    assert one_of(found, "millhand_readings_total", reason="other") == 500
    assert {dict(has)["gateway"] for _, has in found} == {'gw"\\\n1'}
    assert not any("asset" in dict(has) for _, has in found)


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"bounds": [1, 2], "counts": [1], "total": 1}, id="counts are missing"),
        pytest.param({"bounds": [2, 1], "counts": [1, 0, 0], "total": 1}, id="not in order"),
    ],
)
def test_histogram_that_is_none_is_left_out(odd: dict[str, object]) -> None:
    found = read(rendered(said("gw1", {**METRICS, "streams": {"pump": {**PUMP, "age_ms": odd}}})))
    names = {name for name, _ in found}
    assert "millhand_prediction_duration_seconds_count" in names
    assert not any(name.startswith("millhand_input_age") for name in names)


@pytest.fixture
def worker() -> Iterator[Worker]:
    wake_up = WakeUp()
    made = Worker("metrics", wake_up)
    yield made
    made.stop(5)
    wake_up.close()


def textfile(path: Path, worker: Worker) -> Textfile:
    counted = Metrics.model_validate(METRICS)
    return Textfile(path, Control("gw1", lambda _: None), lambda: counted, lambda: True, worker)


def written(made: Textfile, worker: Worker) -> None:
    """Have the file written once, and wait for the end of it."""
    made.tick()
    ended: list[str] = []
    worker.submit(lambda: lambda: ended.append("yes"))

    def is_over() -> bool:
        worker.run_posted()
        return bool(ended)

    eventually(is_over, 10.0)


def test_file_is_replaced_whole_and_others_may_read_it(tmp_path: Path, worker: Worker) -> None:
    path, before = tmp_path / "millhand.prom", os.umask(0o077)
    path.write_text("old")
    try:
        made = textfile(path, worker)
        written(made, worker)
    finally:
        os.umask(before)
    assert one_of(read(path.read_bytes()), "millhand_readings_received_total") == 20
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [one.name for one in tmp_path.iterdir()] == ["millhand.prom"]
    assert (made.failures, made.trouble) == (0, "")


def test_place_that_cannot_be_written_is_counted_and_nothing_is_made(
    tmp_path: Path, worker: Worker
) -> None:
    folder = tmp_path / "absent"
    made = textfile(folder / "millhand.prom", worker)
    written(made, worker)
    written(made, worker)
    assert made.failures == 2
    assert str(folder) in made.trouble
    assert "No such file" in made.trouble
    assert not folder.exists()
    folder.mkdir()
    written(made, worker)
    assert (made.failures, made.trouble) == (2, "")
    assert (folder / "millhand.prom").exists()
