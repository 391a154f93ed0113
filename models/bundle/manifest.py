"""The manifest of a bundle, manifest.json: all that a gateway must know of a model to run it.

Unknown keys are refused: what this release does not understand may change what the model means.
"""

import math
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from models.bundle.budget import Budget
from models.bundle.explain import Explain
from models.bundle.optimised import Optimised
from models.states import StateText
from models.validation import in_utc

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""Name of a stream, a signal or a level of an asset: safe in a topic, a path and a label."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Task = Literal["classification", "regression", "anomaly"]
Finite = Annotated[float, Field(allow_inf_nan=False)]

Period = Annotated[
    int | Finite,
    Field(ge=1e-6),
    AfterValidator(lambda period: int(period) if period == int(period) else period),
]
"""Milliseconds, at least a nanosecond; a whole number is written without a decimal point."""

MAX_WINDOW_VALUES: Final = 1_000_000  # 4 MB of float32
MAX_DUE_VALUES: Final = 4_000_000
"""Values of all windows that one reading may complete: on a grid, many after a pause."""
MAX_GAP_PERIODS: Final = 1_000
_BY_KEY: Final = AfterValidator(lambda table: dict(sorted(table.items())))
"""Sorts a table by its keys, so that equal manifests are written as equal bytes."""


def _is_empty(value: object) -> bool:
    return not value  # such keys are left out: older agents then read the manifest as before


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Channel(_Frozen):
    """One input signal of the model, in engineering units.

    Attributes:
        name: name of the signal, to which the operator binds a topic or a part of a payload.
        unit: engineering unit, for people ("bar", "degC"); empty without one.
        valid_range: least and greatest usable value; others count as missing, in training and on
            the gateway. None allows every finite value.
        missing: what a missing value does: with `impute` the graph replaces it (quality
            UNCERTAIN), with `require` there is no prediction value (quality BAD).
        max_age_ms: milliseconds for which a reading stays the signal's value, also in samples
            without a new one; None: only in the sample for which it was reported.
        codes: for a signal of states, the number of each state by its text, `true` and `false` for
            booleans; a value that is none of them counts as missing. Empty for a signal of numbers.
        offset: what is subtracted from a usable value, in double precision, before it becomes a
            float32 of the window; `valid_range` is about the value before.
    """

    name: Name
    unit: str = ""
    valid_range: tuple[Finite, Finite] | None = None
    missing: Literal["impute", "require"] = "impute"
    max_age_ms: Annotated[int, Field(ge=0)] | None = None
    codes: dict[StateText, Finite] = Field(default={}, max_length=1_000, exclude_if=_is_empty)
    offset: Finite = Field(default=0.0, exclude_if=_is_empty)

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.valid_range is not None and self.valid_range[0] >= self.valid_range[1]:
            raise ValueError(
                f"valid_range of {self.name} is {self.valid_range}: lower must be below upper"
            )
        if self.offset and self.codes:
            raise ValueError(f"{self.name} has codes and an offset: a state has no offset")
        return self


class WindowSpec(_Frozen):
    """How samples become windows.

    Attributes:
        length: number of samples in a window.
        hop: number of samples from one window to the next.
        sample_period_ms: milliseconds between samples in training; None if they had no times.
        max_gap_ms: milliseconds of the longest pause between two samples that does not restart the
            window; None: no pause does.
        trigger: what completes a sample. `all_fresh`: every signal has reported. `every_reading`:
            any message; the other signals are held for their `max_age_ms`. `period`: a multiple of
            `sample_period_ms` since 1970 has passed; each signal is held for its `max_age_ms`, or
            for a period without one. It needs `sample_period_ms` and `max_gap_ms`.
    """

    length: Annotated[int, Field(ge=1, le=65_536)]
    hop: Annotated[int, Field(ge=1, le=65_536)] = 1
    sample_period_ms: Period | None = None
    max_gap_ms: Annotated[int, Field(ge=1)] | None = None
    trigger: Literal["all_fresh", "every_reading", "period"] = "all_fresh"

    @model_validator(mode="after")
    def _grid_is_bounded(self) -> Self:
        if not self.is_on_grid:
            return self
        period_ms, max_gap_ms = self.sample_period_ms, self.max_gap_ms
        if period_ms is None or max_gap_ms is None:
            raise ValueError(
                "trigger 'period' needs sample_period_ms and max_gap_ms, found "
                f"{period_ms} and {max_gap_ms}"
            )
        if not period_ms <= max_gap_ms <= MAX_GAP_PERIODS * period_ms:
            raise ValueError(
                f"with trigger 'period' max_gap_ms is 1 to {MAX_GAP_PERIODS} times "
                f"sample_period_ms, found {max_gap_ms} and {period_ms}"
            )
        return self

    @property
    def is_on_grid(self) -> bool:
        """Whether samples are taken at multiples of the period, not at the readings."""
        return self.trigger == "period"

    @property
    def period_ns(self) -> int:
        """The sample period in nanoseconds; 0 without one."""
        return round((self.sample_period_ms or 0) * 1_000_000)

    @property
    def max_due(self) -> int:
        """Largest number of windows that one reading can complete."""
        if not self.is_on_grid:
            return 2
        return int((self.max_gap_ms or 0) // (self.sample_period_ms or 1)) // self.hop + 1


class Output(_Frozen):
    """One output tensor of the graph.

    Attributes:
        name: `value` `[n]` (the answer), `score` `[n]` (how certain, or how abnormal), or
            `probabilities` `[n, classes]`.
        dtype: int64 for `value` of a classifier or detector, which is a class index; else float32.
        meaning: what the output means, one line for people.
        unit: engineering unit of a regression; empty without one.
        classes: names of the classes, by index; empty for a regression.
        threshold: score from which `value` is 1, for information, since the graph applies it; None
            without one.
    """

    name: Literal["value", "score", "probabilities"]
    dtype: Literal["float32", "int64"]
    meaning: str
    unit: str = ""
    classes: tuple[str, ...] = ()
    threshold: Finite | None = None


class GoldenSpec(_Frozen):
    """Number of golden windows, and how near a model's outputs must come to theirs.

    A float output x is right within `atol + rtol * |x|`; class indices must be equal.
    """

    count: Annotated[int, Field(ge=1)]
    atol: Annotated[Finite, Field(ge=0)] = 1e-5
    rtol: Annotated[Finite, Field(ge=0)] = 1e-4


class Metrics(_Frozen):
    """Metrics on rows that were not used in training.

    Attributes:
        split: how those rows were chosen, in words.
        test_rows: number of those rows.
        values: metrics by name.
        intervals: 95 % confidence interval of each metric that has one, lower bound first.
        baselines: metrics of answers that need no model, such as the mean, on the same rows, by
            name of the answer and of the metric; empty in a manifest of schema 1.
        drawn: how the intervals were computed, or why there are none, in words.
    """

    split: str
    test_rows: Annotated[int, Field(ge=0)]
    values: Annotated[dict[str, Finite], _BY_KEY]
    intervals: Annotated[dict[str, tuple[Finite, Finite]], _BY_KEY] = {}
    baselines: Annotated[dict[str, dict[str, Finite]], _BY_KEY] = Field(
        default={}, max_length=10, exclude_if=_is_empty
    )
    drawn: str = Field(default="", max_length=1_000, exclude_if=_is_empty)

    @model_validator(mode="after")
    def _intervals_fit(self) -> Self:
        for name, (low, high) in self.intervals.items():
            if name not in self.values:
                raise ValueError(f"intervals has '{name}', which values lacks")
            if low > high:
                raise ValueError(f"the interval of {name} is ({low}, {high}): lower comes first")
        return self

    def formatted(self, name: str) -> str:
        """A metric for people, as `0.91 (0.88 to 0.93)`: its interval decides on the digits."""
        value = self.values[name]
        low, high = self.intervals.get(name, (value, value))
        if not 0 < high - low < math.inf:
            return f"{value:.{4 if abs(value) < 1e4 else 6}g}"  # noqa: PLR2004  whole numbers stay whole
        places = max(0, 1 - math.floor(math.log10(high - low)))
        return f"{value:.{places}f} ({low:.{places}f} to {high:.{places}f})"


class Lineage(_Frozen):
    """What the model was made from.

    Attributes:
        data: SHA-256 of each file by its name; recorded files are called `recorded-1` and so on.
        code_version: version of millhand that has trained or packed the model.
        packages: version of each library on which the result depends, by its name.
        seed: seed of all random numbers.
        origin: where an external model is from; empty if millhand has trained the model. The golden
            vectors of an external model are its own answers: they prove that it arrived unchanged,
            not that it is right.
    """

    data: Annotated[dict[str, Sha256], _BY_KEY]
    code_version: str
    packages: Annotated[dict[str, str], _BY_KEY] = {}
    seed: int
    origin: str = ""


class MemberFile(_Frozen):
    """Name, digest and bytes of a member of the bundle other than the manifest."""

    name: str
    sha256: Sha256
    size: Annotated[int, Field(ge=0)]


class Manifest(_Frozen):
    """Identity, inputs, windows, outputs and evidence of one model.

    Attributes:
        seq: number of the bundle in its stream. It rises, and is what gateways compare.
        version: semantic version, for people only.
        created: time of creation, in UTC.
        channels: input signals, in the order of the last axis of a window.
        schema_version: 2 where the manifest has a key that schema 1 lacks, else 1.
        outputs: output tensors of the graph; the first one is `value`.
        explain: how answers are explained; None where they are not.
        optimised: how a network was made smaller; None where it was not.
        files: the other members of the bundle, filled in when it is packed.
    """

    schema_version: Literal[1, 2] = 1
    stream: Name
    name: str
    version: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$")]
    seq: Annotated[int, Field(ge=1, le=2**53 - 1)]
    created: Annotated[AwareDatetime, AfterValidator(in_utc)]
    task: Task
    channels: Annotated[tuple[Channel, ...], Field(min_length=1, max_length=4096)]
    window: WindowSpec
    outputs: Annotated[tuple[Output, ...], Field(min_length=1, max_length=3)]
    golden: GoldenSpec
    metrics: Metrics
    lineage: Lineage
    budget: Budget
    explain: Explain | None = Field(default=None, exclude_if=_is_empty)
    optimised: Optimised | None = Field(default=None, exclude_if=_is_empty)
    files: tuple[MemberFile, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique_and_sizes_bounded(self) -> Self:
        for what, names in (
            ("channel", [channel.name for channel in self.channels]),
            ("output", [str(output.name) for output in self.outputs]),
        ):
            repeated = sorted(name for name, times in Counter(names).items() if times > 1)
            if repeated:
                raise ValueError(f"{what} names must differ; repeated: {', '.join(repeated)}")
        if self.window.length * len(self.channels) > MAX_WINDOW_VALUES:
            raise ValueError(f"a window has at most {MAX_WINDOW_VALUES} values (length x channels)")
        if self.window.max_due * self.window.length * len(self.channels) > MAX_DUE_VALUES:
            raise ValueError(
                f"a reading makes at most {MAX_DUE_VALUES} values due (length x channels x "
                f"{self.window.max_due} windows after a pause of max_gap_ms): lower max_gap_ms, or "
                "raise hop"
            )
        return self

    @model_validator(mode="after")
    def _new_keys_are_of_schema_2(self) -> Self:
        explain = self.explain or self.optimised
        if self.schema_version < schema_version(self.channels, self.metrics, explain):
            raise ValueError(
                "codes and offset of channels, explain, optimised, metrics.baselines and "
                f"metrics.drawn need schema_version 2, found {self.schema_version}"
            )
        return self

    @model_validator(mode="after")
    def _explanation_fits(self) -> Self:
        if self.explain is not None:
            names = [str(output.name) for output in self.outputs]
            classes = len(self.outputs[0].classes)
            self.explain.check(len(self.channels), self.golden.count, names, classes)
        return self

    @model_validator(mode="after")
    def _outputs_fit_the_task(self) -> Self:
        if self.outputs[0].name != "value":
            raise ValueError(f"the first output must be 'value', found '{self.outputs[0].name}'")
        for output in self.outputs:
            dtype = "int64" if output.name == "value" and self.task != "regression" else "float32"
            if output.dtype != dtype:
                raise ValueError(
                    f"'{output.name}' of a {self.task} is {dtype}, found {output.dtype}"
                )
        return self

    def output(self, name: str) -> Output | None:
        """The output tensor of this name; None if the model does not have it."""
        return next((output for output in self.outputs if output.name == name), None)


def schema_version(
    channels: Iterable[Channel], metrics: Metrics, further: Explain | Optimised | None = None
) -> Literal[1, 2]:
    """The version of a manifest with these parts: 1 as long as older agents understand it."""
    is_new = further is not None or metrics.baselines or metrics.drawn
    return 2 if is_new or any(one.codes or one.offset for one in channels) else 1


def utc(moment: datetime) -> str:
    """A time in ISO 8601, in UTC with a Z: all times in files and messages are written so."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
