"""Late labels: what was really the matter with an asset in a span of time, said afterwards.

An agent compares them with what its models had predicted, and a recording keeps them for training.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, ClassVar, Final, NamedTuple, Self

from pydantic import Field, model_validator

from models.errors import DecodeError, MillhandError
from models.input.codecs.document import parse
from models.input.codecs.times import NS_PER_UNIT, TimeUnit, to_time_ns
from models.input.source import Topic
from models.settings import Count, Seconds, Section

MAX_TEXT: Final = 256
"""Characters of the name of an asset or of a class."""
MAX_PAYLOAD_BYTES: Final = 4096
BYTES_A_LABEL: Final = 1024
# The years 1 to 9999, which ISO 8601 writes with four digits.
_EARLIEST_MS: Final = -62_135_596_800_000
_LATEST_MS: Final = 253_402_300_799_999
UNMATCHED: Final = {
    "malformed": "the label has no asset, no span or no value that can be read",
    "unknown_class": "the value is none of the classes of the models that have predicted",
    "not_a_number": "the value is text, but the models predict a number",
    "unknown_asset": "nothing that was predicted for the asset is kept",
    "no_prediction": "the asset has predictions, but none in the span",
    "outside_horizon": "predictions of the span were removed already, or it ends too far ahead",
    "overlapping": "another label of the asset has a part of the same span",
    "too_many": "max_labels labels of the stream are kept already",
}
"""Why a label is compared with nothing: keys and meanings, which docs/topics.md repeats."""


class LabelError(MillhandError):
    """A label that is compared with nothing. The caller counts it, and goes on.

    Args:
        reason: code of the reason, of `UNMATCHED`.

    Attributes:
        reason: as given.
    """

    code: ClassVar[str] = "label"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Labels(Section):
    """Late labels of a stream, and what is kept of its predictions until they come."""

    topic: Topic | None = Field(
        None, description="default: as that of output, with _label in place of _inference"
    )
    horizon_s: Seconds = Field(
        7 * 86_400.0, description="how long a prediction waits for its label, seconds"
    )
    settle_s: Seconds = Field(
        60.0,
        description="how long a label whose span is over waits for predictions of it, seconds",
    )
    max_predictions: Count = Field(
        1_000_000, description="predictions that are kept; the oldest make room"
    )
    max_labels: Count = Field(10_000, description="labels that are kept; further ones are refused")
    max_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 40)] = Field(
        128 << 20, description="largest size of the file that they are kept in"
    )

    @model_validator(mode="after")
    def _labels_have_room(self) -> Self:
        if self.max_bytes < self.max_labels * BYTES_A_LABEL:
            raise ValueError(
                f"max_bytes is {self.max_bytes} and max_labels {self.max_labels}: labels may need "
                f"{BYTES_A_LABEL} bytes each, so raise max_bytes or lower max_labels"
            )
        return self


class Label(NamedTuple):
    """What was really the matter with an asset.

    Attributes:
        asset: key of the asset.
        start_ms: begin of the span, which is inside, milliseconds since 1970.
        end_ms: its end, which is outside.
        value: the value that would have been right; a text is the name of a class.
    """

    asset: str
    start_ms: int
    end_ms: int
    value: float | str


def read_label(payload: bytes, asset: str) -> Label:
    """The label that a message carries: a JSON object with `from`, `to` and `value`.

    Args:
        payload: content of the message.
        asset: key of the asset by the topic; an `asset` in the object counts before it.

    Raises:
        LabelError: `malformed`.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise LabelError("malformed")
    try:
        fields = parse(payload)
    except DecodeError as exc:
        raise LabelError("malformed") from exc
    if not isinstance(fields, dict):
        raise LabelError("malformed")
    return label_of({"asset": asset, **fields})


def label_of(fields: Mapping[str, object]) -> Label:
    """The label of an object or of a row of a table.

    `value` may be called `label`, as in the tables of a recipe. Times are milliseconds since 1970
    or texts of ISO 8601, in UTC where they have no offset.

    Raises:
        LabelError: `malformed`: something is missing or cannot be read, or the end is not after
            the begin.
    """
    asset, given = fields.get("asset"), fields.get("value", fields.get("label"))
    start_ms, end_ms = _time_ms(fields.get("from")), _time_ms(fields.get("to"))
    if not isinstance(asset, str) or not _is_name(asset) or start_ms >= end_ms:
        raise LabelError("malformed")
    return Label(asset, start_ms, end_ms, _value(given))


def _time_ms(value: object) -> int:
    unit: TimeUnit = "ms"
    if isinstance(value, str):
        value = value.strip()
        unit = "ms" if value.lstrip("-").isdecimal() else "iso8601"
    try:
        time_ms = to_time_ns(value, unit) // NS_PER_UNIT["ms"]
    except (DecodeError, OverflowError) as exc:
        raise LabelError("malformed") from exc
    if not _EARLIEST_MS <= time_ms <= _LATEST_MS:
        raise LabelError("malformed")
    return time_ms


def _value(given: object) -> float | str:
    """The value; a text that is a number, as in a table, counts as that number."""
    if isinstance(given, str):
        text = given.strip()
        try:
            given = float(text)
        except ValueError:
            if _is_name(text):
                return text
    if isinstance(given, int | float) and isfinite(given):
        return float(given)
    raise LabelError("malformed")


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_TEXT and text.isprintable()
