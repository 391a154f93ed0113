"""What the training and the test part share although they should be separate."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainer.checks.finding import Finding
from trainer.dataset.subject import Subject
from trainer.errors import first_few
from trainer.recipe.split_section import GroupSplit

# Share of rows with the time of another row elsewhere, from which on windows are a mixture.
MIXED = 0.5
# Share of rows with the time of the row before, from which on the times are rounded.
SHARED = 0.95
_HOUR_NS = 3600 * 10**9
# An hour comes again up to two minutes early or late where rows are irregular.
_SLACK_NS = 120 * 10**9


def groups_on_both_sides(subject: Subject) -> Iterator[Finding]:
    """Report assets in both parts, unless all their test windows are later than the training."""
    recipe, recording = subject.recipe, subject.recording
    method = recipe.split.method
    if not recipe.data.names_assets or method == "time":
        return
    shared = subject.in_both(recording.asset)
    if not len(shared) or (recording.timed and _later(subject)):
        return
    count = len(np.unique(recording.asset[subject.parts.test.rows]))
    names = first_few([f"'{recording.assets[index]}'" for index in shared])
    evidence = (
        f"{len(shared)} of the {count} assets of the test part were trained on as well, and not "
        f"only at earlier times: {names}"
    )
    if method in ("random", "stratified"):
        remedy = "set split.method to 'group', so that the metrics hold for other assets"
        yield Finding("groups-on-both-sides", "error", evidence, remedy)
    elif isinstance(recipe.split, GroupSplit):
        remedy = (
            "the metrics hold for other groups of the same assets; leave out split.column to "
            "measure on other assets"
        )
        yield Finding("groups-on-both-sides", "warning", evidence, remedy)
    else:
        remedy = (
            "the metrics hold for assets that were trained on; if different assets have the same "
            "name in several files, set data.asset_from = 'file' beside data.asset_column"
        )
        yield Finding("groups-on-both-sides", "warning", evidence, remedy)


def random_split_of_time_series(subject: Subject) -> Iterator[Finding]:
    """Report how many test windows are next to a training window, if they were drawn at random."""
    recording, parts = subject.recording, subject.parts
    if subject.recipe.split.method != "random-optimistic" or not recording.timed:
        return
    reach = max(1, subject.recipe.window.length - 1)
    # Positions in time, with a gap between assets, so that no row of another asset is a neighbour.
    line = recording.asset * (len(recording) + reach + 1) + recording.rank()
    trained = np.sort(line[parts.train.rows])
    tested = line[parts.test.rows]
    after = np.searchsorted(trained, tested)
    nearest = np.minimum(
        np.abs(trained[np.minimum(after, len(trained) - 1)] - tested),
        np.abs(tested - trained[np.maximum(after - 1, 0)]),
    )
    share = float((nearest <= reach).mean())
    evidence = (
        f"{share:.0%} of the test windows lie within {reach} rows of a window that was trained on: "
        "the metrics are optimistic, and will not hold on new data"
    )
    remedy = "set split.method to 'time' or 'group'"
    yield Finding("random-split-of-time-series", "warning", evidence, remedy)


def timestamps_out_of_order(subject: Subject) -> Iterator[Finding]:
    """Report rows that are older than the row before them of the same asset and file."""
    recording = subject.recording
    if not recording.timed:
        return
    order = np.lexsort((recording.line, recording.file, recording.asset))
    asset, file = recording.asset[order], recording.file[order]
    same = (np.diff(asset) == 0) & (np.diff(file) == 0)
    late = np.flatnonzero(same & (np.diff(recording.times_ns[order]) < 0)) + 1
    if not len(late):
        return
    evidence = (
        f"{len(late)} rows are older than the row before of the same asset and file, the first at "
        f"{recording.place(order[late[0]])}; they were sorted by time"
    )
    back_ns = np.diff(recording.times_ns[order])[late - 1]
    if _is_local(subject) and _hour_again(back_ns, recording.period_ms()):
        evidence += ". It looks like a change of clocks: 60 minutes come twice"
        remedy = (
            "set data.time.zone to the zone of the clock, such as 'Europe/Berlin', so that both "
            "hours are told apart, or to 'UTC' if it was never set"
        )
        yield Finding("timestamps-out-of-order", "error", evidence, remedy)
        return
    remedy = (
        "if a new run begins where time goes back, set data.run = 'restart'; otherwise check "
        "whether a clock was set back, or time.format confuses day and month"
    )
    yield Finding("timestamps-out-of-order", "warning", evidence, remedy)


def _is_local(subject: Subject) -> bool:
    """Whether times are text, for which the recipe names no zone."""
    axis = subject.recipe.data.time
    return axis is not None and axis.unit is None and "zone" not in axis.model_fields_set


def _hour_again(back_ns: NDArray[np.int64], period_ms: float | None) -> bool:
    """Whether times only go back by an hour less one row, as at the end of summer time."""
    step_ns = (period_ms or 0.0) * 1e6
    off = np.abs(back_ns + _HOUR_NS - step_ns)
    return bool((off <= max(step_ns, _SLACK_NS)).all())


def same_time_rows(subject: Subject) -> Iterator[Finding]:
    """Report rows of one asset that have the same time and different values.

    They are of two machines or runs under one name. A clock of whole seconds gives such rows too,
    but they follow each other in the file.
    """
    recording, time = subject.recording, subject.recipe.data.time
    if time is None or time.column is None or recording.rows_per_sample > 1:
        return
    order = np.argsort(recording.asset, kind="stable")  # by asset, then by time
    first, second = order[:-1], order[1:]
    same = recording.times_ns[first] == recording.times_ns[second]
    same &= recording.asset[first] == recording.asset[second]
    first, second = first[same], second[same]
    other = ~np.isclose(
        recording.values[first], recording.values[second], rtol=0, atol=0, equal_nan=True
    ).all(axis=1)
    first, second = first[other], second[other]
    if not len(first):
        return
    apart = recording.file[first] != recording.file[second]
    apart |= np.abs(recording.line[first].astype(np.int64) - recording.line[second]) > 1
    evidence = (
        f"{len(first)} rows have the time of another row of their asset but other values, such as "
        f"{recording.place(first[0])} and {recording.place(second[0])}"
    )
    mixed = 2 * int(apart.sum()) >= MIXED * len(recording)
    if mixed and subject.recipe.window.length > 1:
        evidence += ": windows would contain samples of both"
    remedy = (
        "if they are of different machines or runs, name those by data.asset_column, which may be "
        "a list of columns, by data.asset_from = 'file', or by data.run = 'restart' where time "
        "goes back; if the clock is coarse, set data.time.step_s; if they are repeated, leave one "
        "out"
    )
    severe = mixed and subject.recipe.window.length > 1
    instants = len(np.unique(recording.times_ns))
    if len(first) >= SHARED * len(recording) and not mixed:
        severe = True
        evidence = (
            f"{len(first) + instants} rows lie on {instants} instants, such as "
            f"{recording.place(first[0])} and {recording.place(second[0])}: nearly all share their "
            "time"
        )
        remedy = (
            "if a spreadsheet has rounded the times, as in 1.7E+12, export them with all digits; "
            "if the clock is coarse, set data.time.step_s to the seconds between two rows"
        )
    yield Finding("same-time-rows", "error" if severe else "warning", evidence, remedy)


def _later(subject: Subject) -> bool:
    """Whether every asset's test windows are later than all its training windows."""
    recording, parts = subject.recording, subject.parts
    last = np.full(len(recording.assets), np.iinfo(np.int64).min)
    np.maximum.at(last, parts.train.asset, recording.times_ns[parts.train.rows])
    return bool((recording.times_ns[parts.test.rows] > last[parts.test.asset]).all())
