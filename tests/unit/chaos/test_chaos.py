"""What `make chaos` judges by: a ledger that misses nothing, an oracle that knows no agent."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from chaos.fuzz import fuzz
from chaos.ledger import Answer, Verdict, compare
from chaos.soak import line_through
from chaos.traffic import (
    BASE_MS,
    HOP,
    LENGTH,
    ROW_ASSETS,
    ROWS,
    SCALAR_ASSETS,
    WINDOW_ASSETS,
    WINDOWS,
    Key,
    behind,
    expected,
    row,
    tick,
)
from chaos.wire import Wire
from serving.mqtt.packets import Publish, Writer, puback
from tests.kit.broker.proxy import TO_BROKER, TO_CLIENT

KEYS = [Key(ROWS, "l1/p0", BASE_MS + number) for number in range(3)]
WANTED = dict.fromkeys(KEYS, 1.0)
GOOD = [Answer(key, 1.0, f"id{number}", 0.0) for number, key in enumerate(KEYS)]
CLEAN = Verdict(3, lost=0, broker_lost=0, phantom=0, repeated=0, out_of_order=0)
READING = next(tick(1))


def test_answers_as_expected_are_clean() -> None:
    assert compare(WANTED, GOOD) == CLEAN


def test_missing_answer_is_lost() -> None:
    assert compare(WANTED, GOOD[1:]) == replace(CLEAN, lost=1)


def test_missing_answer_that_the_broker_had_confirmed_is_its_loss() -> None:
    assert compare(WANTED, GOOD[1:], {KEYS[0]}) == replace(CLEAN, broker_lost=1)


def test_answer_again_with_its_id_is_a_repetition() -> None:
    assert compare(WANTED, [*GOOD, GOOD[0]]) == replace(CLEAN, repeated=1)


@pytest.mark.parametrize(
    "answer",
    [
        GOOD[0]._replace(id="another"),
        GOOD[0]._replace(value=2.0),
        GOOD[0]._replace(value=None),
        GOOD[0]._replace(key=KEYS[0]._replace(time_ms=0)),
        GOOD[0]._replace(key=KEYS[0]._replace(asset="l1/nobody")),
    ],
)
def test_answer_that_nothing_asks_for_is_a_phantom(answer: Answer) -> None:
    assert compare(WANTED, [*GOOD, answer]) == replace(CLEAN, phantom=1)


def test_answer_behind_a_newer_one_of_its_asset_is_out_of_order() -> None:
    assert compare(WANTED, [GOOD[1], GOOD[0], GOOD[2]]) == replace(CLEAN, out_of_order=1)


def test_oracle_agrees_with_numpy_on_every_window() -> None:
    count = 30
    answers = expected(reading for number in range(count) for reading in tick(number))
    samples = np.array([(number * 7 % 50, number % 11) for number in range(count)])
    windows = sliding_window_view(samples, LENGTH, axis=0)[::HOP].transpose(0, 2, 1)
    sums = np.tensordot(windows, np.arange(1, 2 * LENGTH + 1).reshape(LENGTH, 2), 2)
    times = BASE_MS + LENGTH - 1 + HOP * np.arange(len(sums))
    for asset in (*WINDOW_ASSETS, *SCALAR_ASSETS):
        own = {key.time_ms: value for key, value in answers.items() if key.asset == asset}
        assert own == dict(zip(times.tolist(), sums.tolist(), strict=True))
    for asset in ROW_ASSETS:
        values = [value for key, value in answers.items() if key.asset == asset]
        assert values == (samples @ [1, 10]).tolist()


def test_window_with_a_signal_that_never_came_has_no_value() -> None:
    scalars = [one for number in range(8) for one in tick(number) if one.key.asset == "l1/s0"]
    assert None in expected(scalars[:5] + scalars[6:]).values()


def prediction(packet_id: int) -> bytes:
    key = READING.key
    told = {"stream": key.stream, "asset": key.asset, "timestamp": key.time_ms}
    topic = f"plant/{key.asset}/_inference/{key.stream}"
    return Writer(5).publish(Publish(topic, json.dumps(told).encode(), 1, packet_id=packet_id))


def delivered(packet_id: int) -> bytes:
    return Writer(5).publish(Publish(READING.topic, READING.payload, 1, packet_id=packet_id))


def test_wire_tells_an_acknowledgement_before_the_confirmation() -> None:
    wire = Wire({(READING.topic, READING.payload): READING})
    wire.read(1, TO_CLIENT, delivered(7))
    wire.read(1, TO_BROKER, prediction(0x8000) + puback(7))
    assert (wire.premature, wire.stale) == (1, 0)


def test_wire_takes_an_acknowledgement_behind_the_confirmation() -> None:
    wire = Wire({(READING.topic, READING.payload): READING})
    wire.read(1, TO_CLIENT, delivered(7))
    wire.read(1, TO_BROKER, prediction(0x8000))
    wire.read(1, TO_CLIENT, puback(0x8000))
    wire.read(1, TO_BROKER, puback(7))
    assert (wire.premature, wire.stale) == (0, 0)
    assert (list(wire.delivered), wire.confirmed) == ([READING], {READING.key})


def test_wire_tells_an_acknowledgement_of_an_older_connection() -> None:
    wire = Wire({(READING.topic, READING.payload): READING})
    wire.read(1, TO_CLIENT, delivered(7))
    wire.read(2, TO_BROKER, puback(7))
    assert wire.stale == 1


def test_refused_prediction_is_not_confirmed() -> None:
    wire = Wire({(READING.topic, READING.payload): READING})
    wire.read(1, TO_BROKER, prediction(0x8000))
    wire.read(1, TO_CLIENT, b"\x40\x03\x80\x00\x87")
    assert wire.confirmed == set()


def test_slope_is_that_of_the_line_and_its_error_that_of_the_rest() -> None:
    slope, error = line_through([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)])
    assert (slope, error) == (2.0, 0.0)
    slope, error = line_through([(0.0, 0.0), (1.0, 1.0), (2.0, 0.0), (3.0, 1.0)])
    assert slope == pytest.approx(0.2)
    assert error == pytest.approx(np.sqrt(0.8 / 2 / 5))


def test_two_points_leave_the_error_open() -> None:
    assert line_through([(0.0, 0.0), (1.0, 1.0)]) == (1.0, None)


def test_fuzz_of_one_seed_finds_no_difference_from_paho() -> None:
    found = fuzz(1, 0.0, lambda _seed: None, examples=20)
    assert (found.failure, found.seeds) == ("", (1, 1))
    assert found.examples > 0


def test_row_names_its_prediction() -> None:
    reading = row(ROWS, "l1/p1", 5, "telemetry", (2.0, 3.0))
    assert expected([reading]) == {Key(ROWS, "l1/p1", BASE_MS + 5): 32.0}
    assert expected([reading, reading]) == expected([reading])
    assert WINDOWS not in {key.stream for key in expected([reading])}


def test_order_of_disordered_readings_is_that_of_their_delivery() -> None:
    wanted = {KEYS[2]: 1.0, KEYS[0]: 1.0, KEYS[1]: 1.0}
    as_delivered = [GOOD[2], GOOD[0], GOOD[1]]
    assert compare(wanted, as_delivered, by_delivery=True) == CLEAN
    assert compare(wanted, as_delivered) == replace(CLEAN, out_of_order=2)
    assert compare(wanted, GOOD, by_delivery=True) == replace(CLEAN, out_of_order=1)


def test_oracle_puts_readings_in_order_as_far_as_the_lateness_allows() -> None:
    one_asset = [row(WINDOWS, "l1/r0", number, "row", (1.0, 2.0)) for number in range(40)]
    ordered = expected(one_asset, disorder_ms=8)
    disordered = [*one_asset[5:9], *one_asset[:5], *one_asset[9:]]
    assert (behind(disordered, 0), behind(disordered, 8)) == (5, 0)
    assert expected(disordered, disorder_ms=8) == ordered
    assert len(expected(disordered)) < len(expected(one_asset))
