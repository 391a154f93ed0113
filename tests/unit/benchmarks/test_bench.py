"""What `make bench` makes of its measurements: turns, options, figures, tables."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contenders.contender import BEFORE, LIMIT, MILLHAND, PLAIN, Contender
from benchmarks.contenders.millhand import checkout
from benchmarks.errors import BenchmarkError
from benchmarks.experiments.cases import EXPERIMENTS, FEW_TOPICS, MANY_TOPICS, Case, Step, steps
from benchmarks.experiments.costs import Memory, cpu_seconds, memory
from benchmarks.experiments.suite import Measurement
from benchmarks.experiments.swaps import Push, figures
from benchmarks.load.workload import (
    BLOCK_1K,
    BLOCK_4K,
    BLOCKS,
    ROWS,
    SCALARS,
    SIGNALS,
    Shape,
    Workload,
)
from benchmarks.report.comparison import verdict
from benchmarks.report.tables import Report
from benchmarks.report.views import Table
from benchmarks.served import bundle, vibration
from benchmarks.windowing import SHAPES, measure
from models.bundle.package import read_bundle
from serving.session import Session
from tests.kit.children import Child

MS = 1_000_000
LARGEST_NUMBER = 2**24 - 1


def contender(name: str, *experiments: str, max_rate: int = 1_000_000) -> Contender:
    return Contender(name, lambda *_: [name], frozenset(experiments), max_rate=max_rate)


def told(step: Step) -> tuple[int, str, int, str]:
    return step.round, step.case.experiment, step.case.qos, step.contender.name


# turns


def test_contenders_alternate_within_a_case_and_a_round() -> None:
    both = [contender("a", "throughput"), contender("b", "throughput")]
    assert list(map(told, steps(both, ["throughput"], 2))) == [
        (number, "throughput", qos, name) for number in (1, 2) for qos in (0, 1) for name in "ab"
    ]


def test_contender_takes_part_in_its_own_experiments_only() -> None:
    taken = steps([contender("a", "memory"), contender("b", "start")], ["start", "memory"], 1)
    assert list(map(told, taken)) == [(1, "start", 1, "b"), (1, "memory", 1, "a")]


def test_contender_is_not_asked_for_more_than_its_rate() -> None:
    taken = steps([contender("a", "latency", max_rate=1_000)], ["latency"], 1)
    assert {step.case.rate for step in taken} == {100, 1_000}


def test_case_is_told_from_the_others_of_its_experiment_by_name_and_qos() -> None:
    for name, cases in EXPERIMENTS.items():
        assert {case.experiment for case in cases} == {name}
        assert len({(case.name, case.qos) for case in cases}) == len(cases)


def test_low_rate_is_measured_long_enough_for_a_rare_answer() -> None:
    assert Case("latency", 0, rate=100).seconds(2.0) == 10.0
    assert Case("latency", 0, rate=1_000).seconds(2.0) == 2.0
    assert Case("throughput", 0).seconds(2.0) == 2.0


def test_step_says_what_it_is() -> None:
    first = steps([contender("a", "blocks")], ["blocks"], 1)[0]
    assert str(first) == "round 1, blocks, 1,024 samples, QoS 0, a"


# options of the load generator


def options(workload: Workload) -> dict[str, str]:
    given = workload.options
    return dict(zip(given[::2], given[1::2], strict=True))


def test_load_is_told_all_of_its_workload(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    workload = Workload(
        1, 2.5, ROWS, assets=7, rate=50, window=9, warmup_s=0.25, fill=3, backlog=11, trace=trace
    )
    told_to_load = options(workload)
    assert {name: told_to_load[f"--{name}"] for name in ("qos", "seconds", "shape")} == {
        "qos": "1",
        "seconds": "2.5",
        "shape": "rows",
    }
    numbers = ("assets", "rate", "window", "warmup", "fill", "backlog", "samples")
    assert [float(told_to_load[f"--{name}"]) for name in numbers] == [7, 50, 9, 0.25, 3, 11, 1]
    assert told_to_load["--signals"] == ",".join(SIGNALS)
    assert told_to_load["--trace"] == str(trace)
    assert "--trace" not in Workload(0, 1.0).options


def test_window_of_messages_is_told_in_readings() -> None:
    assert options(Workload(0, 1.0, SCALARS, window=500))["--window"] == "62"
    assert options(Workload(0, 1.0, SCALARS, window=1))["--window"] == "1"
    assert options(Workload(0, 1.0, BLOCK_4K, window=500))["--window"] == "500"


@pytest.mark.parametrize(
    ("shape", "window", "sample_bytes"),
    [(ROWS, 1, 32), (SCALARS, 60, 32), (BLOCK_1K, 1024, 12_288), (BLOCK_4K, 4096, 49_152)],
)
def test_shape_knows_its_window_and_its_bytes(shape: Shape, window: int, sample_bytes: int) -> None:
    assert (shape.window, shape.sample_bytes) == (window, sample_bytes)


def test_blocks_are_told_as_samples_of_three_axes() -> None:
    given = options(Workload(0, 1.0, BLOCK_4K))
    assert (given["--shape"], given["--samples"], given["--signals"]) == ("blocks", "4096", "x,y,z")


# the model of blocks


@pytest.mark.parametrize("shape", BLOCKS)
def test_model_of_blocks_gives_back_the_number_of_the_block(shape: Shape, tmp_path: Path) -> None:
    made = vibration.model(shape, 1)
    session = Session(read_bundle(bundle.write(tmp_path, made, shape, 1).read_bytes()))
    windows = made.golden.windows.copy()
    windows[:2, 0, 0] = 0, LARGEST_NUMBER
    assert session.run(windows)["value"][:2].tolist() == [0, LARGEST_NUMBER]
    answers = session.run(made.golden.windows)
    np.testing.assert_allclose(answers["score"], made.golden.outputs["score"], rtol=1e-4)


# tables


def measured(
    name: str, *rates: float, experiment: str = "throughput", case: str = "", qos: int = 1
) -> Iterator[Measurement]:
    """One measurement a round; all other figures are that of the rate, too."""
    for number, rate in enumerate(rates, start=1):
        names = ("messages_rate", "unanswered", "cpu_s_per_million", "pss_bytes")
        found = dict.fromkeys(names, rate)
        yield Measurement(experiment, case, qos, number, name, found)


def table(*found: Iterator[Measurement]) -> Table:
    (only,) = Report("a machine", list(chain(*found))).tables()
    return only


def column(of: Table, header: str) -> list[str]:
    at = of.headers.index(header)
    return [row[at] for row in of.rows]


def test_cell_is_the_median_with_least_and_most() -> None:
    found = table(measured(LIMIT, 300.0, 100.0, 12_345.6))
    assert column(found, "messages/s") == ["300 (100-12,346)"]
    assert column(table(measured(LIMIT, 0.5, 0.5)), "messages/s") == ["0.5"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (0.012345, "0.0123"), (9.876, "9.88"), (99.96, "100"), (1_234.5, "1,234")],
)
def test_cell_has_three_digits(value: float, shown: str) -> None:
    assert column(table(measured(LIMIT, value)), "messages/s") == [shown]


def test_ratio_is_the_median_of_those_within_a_round() -> None:
    """The ratio of the medians would be a half."""
    found = table(measured(LIMIT, 100.0, 200.0, 400.0), measured(MILLHAND, 90.0, 100.0, 360.0))
    assert column(found, "x limit") == ["", "0.9 (0.5-0.9)"]


def test_ratio_leaves_out_a_round_that_has_no_neighbour() -> None:
    found = table(measured(LIMIT, 100.0, 0.0), measured(MILLHAND, 50.0, 70.0, 80.0))
    assert column(found, "x limit") == ["", "0.5"]


def test_ratio_is_taken_at_the_same_qos() -> None:
    found = table(
        measured(LIMIT, 100.0, qos=0),
        measured(MILLHAND, 50.0, qos=0),
        measured(LIMIT, 10.0, qos=1),
        measured(MILLHAND, 9.0, qos=1),
    )
    assert column(found, "x limit") == ["", "0.5", "", "0.9"]


def test_ratio_to_another_case_is_that_of_the_same_contender() -> None:
    def topics(name: str, case: str, *rates: float) -> Iterator[Measurement]:
        return measured(name, *rates, experiment="topics", case=case)

    found = table(
        topics(LIMIT, FEW_TOPICS, 3.0),
        topics(MILLHAND, FEW_TOPICS, 10.0, 20.0),
        topics(LIMIT, MANY_TOPICS, 6.0),
        topics(MILLHAND, MANY_TOPICS, 12.0, 22.0),
    )
    assert column(found, "at") == [FEW_TOPICS, FEW_TOPICS, MANY_TOPICS, MANY_TOPICS]
    assert column(found, f"x {FEW_TOPICS}") == ["", "", "2", "1.15 (1.1-1.2)"]


def test_column_relative_to_nobody_measured_is_left_out() -> None:
    assert "x plain" not in table(measured(LIMIT, 1.0)).headers
    assert "x plain" in table(measured(LIMIT, 1.0), measured(PLAIN, 1.0)).headers


def test_report_has_a_table_for_what_was_run_and_everything_as_json() -> None:
    found = [*measured(LIMIT, 1.0), *measured(LIMIT, 2e6, experiment="memory")]
    found[1].figures["rss_bytes"] = 3e6
    report = Report("a machine", found)
    text = report.markdown()
    assert [one.title in text for one in report.tables()] == [True, True]
    assert "| limit | 1 | 2 | 3 |" in text
    assert text.endswith("Machine: a machine.\n")
    kept = json.loads(report.json())
    assert kept["machine"] == "a machine"
    assert [one["figures"] for one in kept["measurements"]] == [one.figures for one in found]
    assert report.svg().count("<text") > len(found)


# two agents


@pytest.mark.parametrize(
    ("before", "now", "sign", "found"),
    [
        ((10, 11, 12), (9, 8, 9.5), 1, "worse"),
        ((10, 11, 12), (9, 8, 9.5), -1, "better"),
        ((10, 11, 12), (9, 8, 12.5), 1, ""),  # not in every round
        ((10, 11, 12), (9, 10.5, 11), 1, ""),  # its median is among the others
        ((10, 11), (1, 1), 1, ""),  # too few rounds
    ],
)
def test_figure_is_worse_beyond_its_spread_only(
    before: tuple[float, ...], now: tuple[float, ...], sign: int, found: str
) -> None:
    assert verdict(dict(enumerate(before)), dict(enumerate(now)), sign) == found


def test_comparison_shows_each_figure_of_both_agents() -> None:
    report = Report(
        "a machine",
        [*measured(BEFORE, 100.0, 200.0, 400.0), *measured(MILLHAND, 50.0, 90.0, 80.0)],
    )
    compared = report.tables()[-1]
    assert column(compared, "figure") == ["messages/s", "unanswered", "CPU s a million"]
    assert column(compared, "now / before") == ["0.45 (0.2-0.5)"] * 3
    assert column(compared, "") == ["worse", "better", "better"]


def test_checkout_without_an_environment_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=str(tmp_path)):
        checkout(tmp_path)


# swaps


def trace_of(path: Path, answers: Iterator[tuple[int, int]]) -> Path:
    """Of answers by milliseconds and seq."""
    path.write_text("".join(f"{at_ms * MS} {seq}\n" for at_ms, seq in answers))
    return path


def swapped(*stretches: tuple[int, int, int]) -> Iterator[tuple[int, int]]:
    """An answer a millisecond from one time to another, by one model after the other."""
    return ((at_ms, seq) for start, end, seq in stretches for at_ms in range(start, end + 1))


def test_gap_is_the_pause_of_a_swap_above_the_usual_one(tmp_path: Path) -> None:
    answers = swapped((0, 1_000, 2), (1_030, 2_000, 1), (2_010, 3_000, 2))
    pushes = [Push(1, 1_000 * MS), Push(2, 2_000 * MS)]
    assert figures(trace_of(tmp_path / "trace", answers), pushes) == {
        "swaps": 2,
        "swap_s": pytest.approx(0.020),
        "usual_ms": 1.0,
        "gap_ms": 19.0,
        "worst_gap_ms": 29.0,
    }


def test_pause_after_the_first_answer_of_the_new_model_counts(tmp_path: Path) -> None:
    answers = swapped((0, 1_000, 2), (1_001, 1_050, 1), (1_095, 2_000, 1))
    found = figures(trace_of(tmp_path / "trace", answers), [Push(1, 1_000 * MS)])
    assert found["swap_s"] == pytest.approx(0.001)
    assert found["gap_ms"] == 44.0


def test_pause_that_is_usual_is_no_gap(tmp_path: Path) -> None:
    every_tenth = ((at_ms, 1 + (at_ms <= 1_000)) for at_ms in range(0, 2_000, 10))
    found = figures(trace_of(tmp_path / "trace", every_tenth), [Push(1, 1_000 * MS)])
    assert (found["usual_ms"], found["gap_ms"], found["worst_gap_ms"]) == (10.0, 0.0, 0.0)


@pytest.mark.parametrize("pushes", [[], [Push(1, 10 * MS), Push(3, 20 * MS)]])
def test_swap_without_an_answer_stops_the_benchmark(tmp_path: Path, pushes: list[Push]) -> None:
    trace = trace_of(tmp_path / "trace", swapped((0, 10, 2), (11, 40, 1)))
    with pytest.raises(BenchmarkError, match="not every model answered"):
        figures(trace, pushes)


# windows of recorded rows


def test_each_form_of_making_windows_is_measured() -> None:
    assert all(pace > 0 for pace in measure(SHAPES[0], count=100, rounds=1))


# processes


def test_process_that_has_ended_costs_nothing(tmp_path: Path) -> None:
    waiting = [sys.executable, "-c", "import signal; signal.pause()"]
    with Child("waiting", waiting, tmp_path / "log") as child:
        assert cpu_seconds(child.pid) >= 0
    assert memory(child.pid) == Memory()


def test_memory_is_shared_out() -> None:
    seen = memory(os.getpid())
    assert 0 < seen.pss_bytes <= seen.rss_bytes


def test_processor_time_covers_children_that_have_ended() -> None:
    spinning = "import time\nwhile time.process_time() < 0.3: pass"
    before_s = cpu_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", spinning], check=True)
    assert cpu_seconds(os.getpid()) - before_s >= 0.2  # four counters in steps of 10 ms
