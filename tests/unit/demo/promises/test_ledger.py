from collections import Counter

import pytest

from demo.plant.simulation import CAVITATION, HEALTHY
from demo.promises.detection import Detection
from demo.promises.ledger import Answer, Input, Ledger
from demo.promises.verdicts import Swap, verdicts

PUMP = "line-1/pump-1"
OTHER = "line-1/pump-2"


def send(ledger: Ledger, *times_ms: int, asset: str = PUMP, complete: bool = True) -> None:
    for time_ms in times_ms:
        ledger.send(Input(asset, time_ms, time_ms / 1000, HEALTHY, complete))


def receive(
    ledger: Ledger, *times_ms: int, asset: str = PUMP, seq: int = 1, quality: str = "GOOD"
) -> None:
    for time_ms in times_ms:
        answer = Answer(
            asset=asset,
            timestamp_ms=time_ms,
            id=f"{asset} {time_ms} {seq}",
            seq=seq,
            version=f"{seq}.0.0",
            label=HEALTHY,
            score=0.9,
            quality=quality,
            latency_ms=0.5,
        )
        ledger.receive(answer, time_ms / 1000 + 0.01)


def test_every_input_answered_once_and_in_order_breaks_nothing() -> None:
    ledger = Ledger(warm_up=0)
    send(ledger, 1, 2, 3)
    receive(ledger, 1, 2, 3)
    assert (ledger.sent, ledger.due, ledger.answered) == (3, 3, 3)
    assert (ledger.lost, ledger.waiting, ledger.repeated) == (0, 0, 0)
    assert not +ledger.broken
    assert list(ledger.latencies_s) == pytest.approx([0.01] * 3)


def test_inputs_of_the_warm_up_need_no_answer_for_each_asset() -> None:
    ledger = Ledger(warm_up=2)
    send(ledger, 1, 2, 3)
    send(ledger, 1, 2, asset=OTHER)
    receive(ledger, 3)
    assert (ledger.sent, ledger.due, ledger.answered, ledger.waiting) == (5, 1, 1, 0)


def test_an_input_passed_over_is_lost_and_the_last_ones_wait() -> None:
    ledger = Ledger(warm_up=0)
    send(ledger, 1, 2, 3, 4)
    receive(ledger, 1, 3)
    assert (ledger.lost, ledger.waiting) == (1, 2)


def test_a_late_answer_is_out_of_order_and_no_longer_lost() -> None:
    ledger = Ledger(warm_up=0)
    send(ledger, 1, 2)
    receive(ledger, 2, 1)
    assert (ledger.lost, ledger.broken["reordered"]) == (0, 1)


def test_assets_may_overtake_one_another() -> None:
    ledger = Ledger(warm_up=0)
    send(ledger, 1, 2)
    send(ledger, 1, 2, asset=OTHER)
    receive(ledger, 1, 2, asset=OTHER)
    receive(ledger, 1, 2)
    assert not +ledger.broken


def test_a_repeated_id_is_counted_and_breaks_nothing() -> None:
    ledger = Ledger(warm_up=0)
    send(ledger, 1)
    receive(ledger, 1, 1)
    assert (ledger.answered, ledger.repeated) == (1, 1)
    assert not +ledger.broken


def test_a_second_id_for_one_input_and_an_answer_to_nothing_are_unasked() -> None:
    ledger = Ledger(warm_up=0)
    send(ledger, 1)
    receive(ledger, 1)
    receive(ledger, 1, seq=2)
    receive(ledger, 99)
    receive(ledger, 1, asset="line-9/pump-9")
    assert ledger.broken == Counter(unasked=3)


def test_an_older_version_after_a_newer_one_is_a_step_back() -> None:
    ledger = Ledger(warm_up=0)
    send(ledger, 1, 2, 3, 4)
    receive(ledger, 1)
    receive(ledger, 2, seq=2)
    receive(ledger, 3)
    assert ledger.broken == Counter(version_back=1)
    assert ledger.version_changes == {PUMP: 2}


def test_the_old_version_may_answer_only_what_was_sent_before_the_new_one_served() -> None:
    ledger = Ledger(warm_up=0)
    send(ledger, 1000, 3000)
    ledger.require(2, since_s=2.0)
    receive(ledger, 1000, 3000)
    assert +ledger.broken == Counter(outdated=1)


def test_a_good_answer_to_an_input_without_a_signal_hides_it() -> None:
    ledger = Ledger(warm_up=0)
    send(ledger, 1, 2, complete=False)
    receive(ledger, 1, quality="UNCERTAIN")
    receive(ledger, 2)
    assert ledger.incomplete == 2
    assert +ledger.broken == Counter(hidden=1)


def test_inputs_that_are_never_answered_are_bounded_and_stay_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("demo.promises.ledger.MAX_WAITING", 10)
    ledger = Ledger(warm_up=0)
    send(ledger, *range(25))
    assert (ledger.lost, ledger.waiting) == (15, 25)


def judge(detection: Detection, truth: str, *labels: str, begin_ms: int = 0) -> list[int]:
    """Compare a run of predictions; return how long after the beginning each finding came."""
    found = [
        detection.compare(PUMP, begin_ms + 200 * number, truth=truth, label=label)
        for number, label in enumerate(labels)
    ]
    return [episode.found_after_ms or 0 for episode in found if episode]


def test_a_fault_is_found_when_it_is_named_three_times_in_a_row() -> None:
    detection = Detection(in_a_row=3, patience=5)
    labels = [HEALTHY, CAVITATION, CAVITATION, HEALTHY, *[CAVITATION] * 4]
    assert judge(detection, CAVITATION, *labels) == [1200]
    assert not detection.missed
    assert (detection.compared, detection.agreed) == (8, 6)


def test_a_fault_that_is_never_named_is_missed_once_it_had_its_time() -> None:
    detection = Detection(in_a_row=3, patience=5)
    judge(detection, CAVITATION, *[HEALTHY] * 4)
    assert not detection.missed
    judge(detection, CAVITATION, HEALTHY, begin_ms=800)
    judge(detection, HEALTHY, HEALTHY, begin_ms=1000)
    assert [episode.condition for episode in detection.missed] == [CAVITATION]


def test_the_name_of_a_fault_that_is_over_finds_nothing() -> None:
    detection = Detection(in_a_row=1, patience=1)
    assert judge(detection, HEALTHY, CAVITATION) == []
    assert detection.episodes == []


def kept(ledger: Ledger, swap: Swap | None = None) -> list[bool]:
    detection = Detection(in_a_row=1, patience=1)
    return [verdict.kept for verdict in verdicts(ledger, detection, swap)]


def test_all_promises_are_kept_by_a_run_with_one_clean_swap() -> None:
    ledger = Ledger(warm_up=0)
    send(ledger, 1000, 2000)
    receive(ledger, 1000)
    ledger.require(2, since_s=1.5)
    receive(ledger, 2000, seq=2)
    swap = Swap(2, pushed_s=1.1, serving_s=1.5, first_s=2.01)
    judged = verdicts(ledger, Detection(in_a_row=1, patience=1), swap)
    assert all(verdict.kept for verdict in judged)
    assert "push to serving 400 ms, first prediction after 910 ms" in judged[-1].numbers


def test_what_still_waits_when_all_is_over_is_lost() -> None:
    ledger = Ledger(warm_up=0)
    send(ledger, 1, 2)
    receive(ledger, 1)
    assert kept(ledger) == [False, True, True, True]


def test_a_run_without_predictions_keeps_no_promise_by_silence() -> None:
    assert not kept(Ledger(warm_up=0))[0]


def test_a_version_that_never_served_breaks_the_swap() -> None:
    ledger = Ledger(warm_up=0)
    send(ledger, 1)
    receive(ledger, 1)
    assert kept(ledger, Swap(2, pushed_s=1.0))[-1] is False


def test_a_version_that_alternates_breaks_the_swap() -> None:
    ledger = Ledger(warm_up=0)
    send(ledger, 1, 2, 3)
    receive(ledger, 1)
    receive(ledger, 2, seq=2)
    receive(ledger, 3)
    assert kept(ledger, Swap(2, pushed_s=1.0, serving_s=1.1, first_s=1.2))[-1] is False
