"""Texts to moments by one format, and moments of a time zone to nanoseconds since 1970."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainer.ingest.columns import Columns
from trainer.ingest.dates.formats import ISO_LOCAL, ISO_SHAPE, ISO_ZONED, OFFSET
from trainer.ingest.dates.words import in_english
from trainer.recipe.time_section import YEARS, TimeAxis


def parsed(text: "pd.Series[str]", form: str) -> "pd.Series[Any]":
    """Times in their own time zone, or without one; NaT where the text does not have the format."""
    if form not in (ISO_LOCAL, ISO_ZONED):
        text = in_english(text, form)
        return pd.to_datetime(text, format=form, errors="coerce", utc="%z" in form)
    right = text.str.fullmatch(ISO_SHAPE) & (text.str.contains(OFFSET) == (form == ISO_ZONED))
    moments = pd.to_datetime(text.where(right), format="ISO8601", errors="coerce", utc=True)
    return moments if form == ISO_ZONED else moments.dt.tz_localize(None)


def within_years(moments: "pd.Series[Any]") -> "pd.Series[Any]":
    """Times whose years can be held in nanoseconds; NaT for all others."""
    return moments.where(moments.dt.year.between(*YEARS))


def nanoseconds(moments: "pd.Series[Any]", columns: Columns, axis: TimeAxis) -> NDArray[np.int64]:
    """Nanoseconds since 1970 of times, none of which is missing.

    Raises:
        DataError: an hour is left out, or there twice, in the recipe's time zone.
    """
    if moments.dt.tz is None:
        local = moments
        moments = _localized(local, axis.zone)
        if moments.isna().any():
            raise columns.wrong(axis.name, moments.isna(), _clock_change(local, moments, axis.zone))
    stamps: NDArray[np.int64] = moments.dt.as_unit("ns").astype("int64").to_numpy()
    return stamps


def _localized(local: "pd.Series[Any]", zone: str) -> "pd.Series[Any]":
    """Times in a zone; an hour that comes twice is told apart where its rows show both passes."""
    moments: pd.Series[Any] = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    if not moments.isna().any():
        return moments
    try:
        told: pd.Series[Any] = local.dt.tz_localize(zone, ambiguous="infer", nonexistent="NaT")
    except ValueError:  # the rows are there once, or not in order
        return moments
    return told


def _clock_change(local: "pd.Series[Any]", moments: "pd.Series[Any]", zone: str) -> str:
    """What to do about an hour that a change to or from daylight saving time repeats or skips."""
    first = local[moments.isna()].iloc[:1]
    if first.dt.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward").isna().any():
        return (
            f"that hour is there twice in {zone}, and its rows do not show both in order; export "
            "in UTC, or leave its rows out"
        )
    return (
        f"that hour is left out in {zone}, so this clock is not set twice a year; say which it is, "
        "such as zone = 'UTC', or 'Etc/GMT-1' for an hour ahead of it all year"
    )
