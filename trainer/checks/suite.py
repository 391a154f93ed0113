"""All checks of the data and the split, in the order in which the report lists them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from trainer.checks.drift import target_drift
from trainer.checks.events import too_few_positives
from trainer.checks.finding import Finding
from trainer.checks.leak import target_leak
from trainer.checks.level_jump import level_jump
from trainer.checks.precision import steps_lost
from trainer.checks.rows import contradictory_rows, duplicated_files, duplicated_rows
from trainer.checks.signals import (
    constant_signal,
    counting_signal,
    nearly_empty_signal,
    stray_value,
    stuck_signal,
)
from trainer.checks.split_overlap import (
    groups_on_both_sides,
    random_split_of_time_series,
    same_time_rows,
    timestamps_out_of_order,
)
from trainer.checks.together import signals_apart
from trainer.checks.unit_classes import one_unit_per_class
from trainer.checks.wandering import wandering_signal
from trainer.dataset.subject import Subject
from trainer.errors import DataError
from trainer.recipe.split_section import ALLOWABLE, Checks

Check = Callable[[Subject], Iterator[Finding]]

CHECKS: Final[Mapping[str, Check]] = {
    "target-leak": target_leak,
    "one-unit-per-class": one_unit_per_class,
    "groups-on-both-sides": groups_on_both_sides,
    "random-split-of-time-series": random_split_of_time_series,
    "duplicated-files": duplicated_files,
    "duplicated-rows": duplicated_rows,
    "contradictory-rows": contradictory_rows,
    "target-drift": target_drift,
    "too-few-positives": too_few_positives,
    "same-time-rows": same_time_rows,
    "timestamps-out-of-order": timestamps_out_of_order,
    "signals-apart": signals_apart,
    "steps-lost": steps_lost,
    "level-jump": level_jump,
    "constant-signal": constant_signal,
    "nearly-empty-signal": nearly_empty_signal,
    "stuck-signal": stuck_signal,
    "stray-value": stray_value,
    "counting-signal": counting_signal,
    "wandering-signal": wandering_signal,
}


def examine(subject: Subject) -> tuple[Finding, ...]:
    """Run every check, and mark the errors that the recipe allows as overridden.

    Raises:
        DataError: there are errors that the recipe does not allow; one line for each.
    """
    found = [finding for check in CHECKS.values() for finding in check(subject)]
    marked = _overridden(found, subject.recipe.checks)
    errors = [one for one in marked if one.severity == "error" and not one.overridden]
    if errors:
        raise DataError("\n".join(map(_line, errors)))
    return tuple(marked)


def _overridden(found: Iterable[Finding], checks: Checks) -> list[Finding]:
    return [
        replace(one, overridden=one.severity == "error" and one.name in checks.allow)
        for one in found
    ]


def _line(error: Finding) -> str:
    if error.name not in ALLOWABLE:
        return str(error)
    return f'{error}; if the data is right as it is, set checks.allow = ["{error.name}"]'
