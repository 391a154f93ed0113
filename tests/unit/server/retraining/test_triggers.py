"""When a training is proposed."""

import json
from pathlib import Path

import pytest

from models.control.documents import Current, Metrics, StreamMetrics
from server.retraining.evidence.drift_file import DOCUMENT, DriftFile
from server.retraining.evidence.heard import Heard
from server.retraining.evidence.triggers import cause
from server.retraining.proposal import Proposal, Witness
from server.retraining.settings import RetrainedStream
from serving.mqtt.packets import Received
from tests.kit.rollouts.retraining import STREAM, drifting, later

HOUR_NS = 3_600 * 10**9


def metrics(gateway: str, hours: float, *, alarm: bool, labels: int = 0) -> Received:
    """Counters of a gateway, so many hours after the beginning."""
    stream = StreamMetrics(predictions={}, missing={}, forgotten_assets=0, shed=0, batch_ms=1.0)
    drift = {"alarm": alarm, "worst": "CDP", "view": "relation", "asset": "gt1", "ratio": 1.4}
    counted = {"kept": 0, "removed": 0, "lost": 0, "waiting": 0, "compared": labels, "repeated": 0}
    said = {
        **stream.model_dump(),
        "drift": {**drift, "watched": 1, "unwatched": 0},
        "labels": {**counted, "unmatched": {}, "episodes": labels, "error": 0.25},
    }
    whole = Metrics(
        received=0, predicted=0, windowed=0, dropped={}, waiting=0, redelivered=0, connects=1,
        sessions_lost=0, streams={},
    )  # fmt: skip
    payload = json.dumps({**whole.model_dump(), "streams": {STREAM: said}}).encode()
    topic = f"millhand/{gateway}/metrics"
    return Received(topic, payload, 0, False, False, int(hours * HOUR_NS))  # noqa: FBT003  the flags of MQTT


def current(gateway: str, seq: int, sha256: str) -> Received:
    """What a gateway runs."""
    document = Current(stream=STREAM, state="serving", seq=seq, sha256=sha256)
    topic = f"millhand/{gateway}/current/{STREAM}"
    return Received(topic, document.model_dump_json().encode(), 0, True, False, 0)  # noqa: FBT003  likewise


def heard(*messages: Received, silent_s: float = 4_000.0) -> list[Witness]:
    known = Heard([STREAM], 100, silent_s)
    for one in messages:
        known.take(one)
    return list(known.witnesses(STREAM))


def wanted(**fields: object) -> RetrainedStream:
    return RetrainedStream.model_validate({"stream": STREAM, "recipe": "r.toml", **fields})


def proposal(*gateways: Witness) -> Proposal:
    return Proposal.model_validate(
        {
            "id": "press-retrain-1",
            "stream": STREAM,
            "time": later(0),
            "answer_by": later(7),
            "trigger": "labels",
            "reason": "labels",
            "by": "c1",
            "recipe": "r.toml",
            "recordings": {},
            "gateways": gateways,
        }
    )


def test_drift_counts_while_a_gateway_says_so_without_a_pause() -> None:
    hourly = [metrics("gw1", hours, alarm=True) for hours in range(1, 8)]
    (one,) = heard(*hourly)
    (interrupted,) = heard(*hourly[:3], metrics("gw1", 3.5, alarm=False), *hourly[3:])
    (silent,) = heard(*hourly[:3], *hourly[5:])
    (other,) = heard(
        current("gw1", 1, "a" * 64), *hourly[:4], current("gw1", 2, "b" * 64), *hourly[4:]
    )
    held = [round(found.drift_s / 3600) for found in (one, interrupted, silent, other)]
    assert held == [6, 3, 1, 2]


def restarted(folder: Path, hours: float) -> Heard:
    """What a server knows after a restart; before it, gw1 told of drift from the first hour on."""
    known = Heard([STREAM], 100, 4_000.0)
    known.take(current("gw1", 1, "a" * 64))
    for hour in range(1, 5):
        known.take(metrics("gw1", hour, alarm=True))
    DriftFile(folder, 4_000.0, 60.0).write(known.lasting(int(hours * HOUR_NS)))
    again = Heard([STREAM], 100, 4_000.0)
    again.go_on(DriftFile(folder, 4_000.0, 60.0).read())
    return again


def held(known: Heard) -> list[int]:
    """Hours for which each gateway has told of drift."""
    return [round(one.drift_s / 3600) for one in known.witnesses(STREAM)]


def test_drift_goes_on_over_a_start_of_the_server(tmp_path: Path) -> None:
    known = restarted(tmp_path, 4)
    before = held(known)
    known.take(metrics("gw1", 5, alarm=True))
    known.take(current("gw1", 1, "a" * 64))
    known.take(metrics("gw1", 6, alarm=True))
    assert (before, held(known)) == ([], [5])


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([metrics("gw1", 4.5, alarm=False)], id="over meanwhile"),
        pytest.param([current("gw1", 2, "b" * 64)], id="of another bundle"),
        pytest.param(
            [metrics("gw1", 4.5, alarm=True), current("gw1", 2, "b" * 64)],
            id="of another bundle that is told later",
        ),
        pytest.param([metrics("gw1", 9, alarm=True)], id="silent for too long"),
    ],
)
def test_drift_of_before_a_start_that_does_not_go_on_counts_anew(
    tmp_path: Path, messages: list[Received]
) -> None:
    known = restarted(tmp_path, 4)
    last = messages[-1].at_ns / HOUR_NS
    for one in (*messages, *(metrics("gw1", max(5, last) + at, alarm=True) for at in (0, 1))):
        known.take(one)
    assert held(known) == [1]


def test_file_of_lasting_drift_that_is_damaged_counts_as_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    restarted(tmp_path, 4)
    (tmp_path / DOCUMENT).write_bytes(b'{"lasting": [')
    found = DriftFile(tmp_path, 4_000.0, 60.0).read()
    assert found == ()
    (said,) = [one for one in caplog.records if one.message == "drift counts anew"]
    assert vars(said)["fields"]["reason"] == "it is damaged"


def test_drift_of_before_a_start_is_kept_until_the_gateway_speaks(tmp_path: Path) -> None:
    known = restarted(tmp_path, 4)
    soon, late = (known.lasting(int(hour * HOUR_NS)) for hour in (5, 6))
    assert [one.gateway for one in soon] == ["gw1"]
    assert late == ()


def test_drift_that_stays_causes_a_proposal_with_its_figures() -> None:
    settings = wanted(drift_after_s=21_600.0)
    found = cause(settings, [drifting(7)], None)
    assert cause(settings, [drifting(5)], None) is None
    assert found is not None
    assert found.trigger == "drift"
    assert "gw1: CDP (relation) of gt1 at 1.40 times its limit for 7.0 h" in found.reason


def test_drift_must_be_on_as_many_gateways_as_asked_for() -> None:
    settings = wanted(drift_after_s=21_600.0, drift_gateways=2)
    alone = cause(settings, [drifting(7), drifting(1, "gw2")], None)
    both = cause(settings, [drifting(7), drifting(8, "gw2")], None)
    assert alone is None
    assert both is not None
    assert [one.gateway for one in both.witnesses] == ["gw1", "gw2"]


def test_labels_count_on_all_gateways_together_and_once() -> None:
    settings = wanted(labels_after=100)
    said = heard(
        metrics("gw1", 1, alarm=False, labels=60), metrics("gw2", 1, alarm=False, labels=50)
    )
    found = cause(settings, said, None)
    assert found is not None
    assert found.reason.startswith("110 labels were compared with the bundle that serves")
    assert "gw1: 60 with a mean error of 0.25" in found.reason
    assert cause(settings, said, proposal(*found.witnesses)) is None
    assert cause(wanted(), [*said, drifting(99)], None) is None


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        pytest.param("millhand/gw1/metrics", b"{", id="no JSON"),
        pytest.param("millhand/gw1/metrics", b'{"streams": 3}', id="no counters"),
        pytest.param("millhand/$gw/current/press", b'{"stream":"press"}', id="no name"),
        pytest.param("millhand/gw1/current/press", b'{"stream":"press"}', id="no state"),
    ],
)
def test_message_that_cannot_be_used_is_ignored(topic: str, payload: bytes) -> None:
    known = Heard([STREAM], 100, 60.0)
    known.take(Received(topic, payload, 0, False, False, 0))  # noqa: FBT003  the flags of MQTT
    assert known.witnesses(STREAM) == []
    assert known.ignored["document"] == 1


def test_gateways_beyond_the_limit_are_left_out() -> None:
    known = Heard([STREAM], 1, 60.0)
    for name in ("gw1", "gw2", "gw3"):
        known.take(current(name, 1, "a" * 64))
    assert [one.gateway for one in known.witnesses(STREAM)] == ["gw1"]
    assert known.ignored["max_gateways"] == 2
