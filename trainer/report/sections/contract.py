"""Outputs and inputs of a bundle, for trained and for external models."""

from collections.abc import Iterable

from markupsafe import Markup

from models.bundle.manifest import Channel, Manifest
from trainer.report.markup import table


def outputs(manifest: Manifest) -> Markup:
    """A table of what the model answers."""
    return table(
        ("output", "meaning", "unit", "classes", "threshold"),
        (
            (
                output.name,
                output.meaning,
                output.unit,
                ", ".join(output.classes),
                "" if output.threshold is None else f"{output.threshold:.4g}",
            )
            for output in manifest.outputs
        ),
    )


def channels(read: Iterable[Channel]) -> Markup:
    """A table of the signals that the model reads."""
    return table(
        ("signal", "unit", "range", "offset", "when missing", "held for"),
        (
            (
                channel.name,
                channel.unit,
                "" if channel.valid_range is None else "{:g} to {:g}".format(*channel.valid_range),
                f"{channel.offset:.17g}" if channel.offset else "",
                "filled in" if channel.missing == "impute" else "no answer",
                "" if channel.max_age_ms is None else f"{channel.max_age_ms / 1000:g} s",
            )
            for channel in read
        ),
    )
