"""The paths of one stream with its name in them, described by the manifest of its newest version.

A client program calls the paths with `{names}`, which stay as they are when a model changes. The
paths of a stream are for people, and for pages that show forms: they say which signals there are,
in which units and ranges, and have an example that can be sent as it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from models.bundle.manifest import Channel, Manifest, Output
from server.oip.inference import DATATYPES, QUALITY
from server.openapi import open_inference, predictions
from server.openapi.example import Example
from server.openapi.operation import JSON, Operation
from server.openapi.schemas import Schema, record, table
from server.predict.example import window_rows

MAX_SIGNALS: Final = 500
"""Signals that are described one by one; of more, the metadata of the model has the names."""


@dataclass(frozen=True, slots=True)
class DescribedStream:
    """What a stream's newest version says of itself.

    Attributes:
        manifest: its manifest.
        example: an example of a window and its answer; None without one.
    """

    manifest: Manifest
    example: Example | None

    @property
    def name(self) -> str:
        """Name of the stream."""
        return self.manifest.stream

    @property
    def tag(self) -> Mapping[str, str]:
        """The group that its paths are shown in."""
        return {"name": self.name, "description": self._introduction()}

    def operations(self) -> Iterator[tuple[tuple[str, str], Operation]]:
        """Method and path with `{names}`, and the operation as it is for this stream."""
        yield predictions.PREDICT_KEY, self._predict()
        yield open_inference.INFER_KEY, self._infer()

    def _predict(self) -> Operation:
        common = predictions.PREDICT
        body = replace(
            predictions.PREDICT_BODY,
            content={JSON: predictions.readings(self._row())},
            example=self.example and {"readings": self._readings(self.example)},
        )
        return replace(
            common,
            id=f"predict_{self.name}",
            tag=self.name,
            summary=f"Answer readings by {self.manifest.name}",
            description=self._introduction(),
            body=body,
        )

    def _infer(self) -> Operation:
        common, found = open_inference.INFER, self.example
        return replace(
            common,
            id=f"infer_{self.name}",
            tag=self.name,
            summary=f"Answer windows by {self.manifest.name}",
            description=f"{self._introduction()}\n\n{self._signals()}",
            body=replace(open_inference.INFER_BODY, example=found and self._request(found)),
            answer=replace(common.answer, example=found and self._response(found)),
        )

    def _introduction(self) -> str:
        manifest, window = self.manifest, self.manifest.window
        period = window.sample_period_ms
        every = f", {period:g} ms apart" if period and window.length > 1 else ""
        return (
            f"{manifest.name}, version {manifest.version} (seq {manifest.seq}), a model for "
            f"{manifest.task}. A window has {window.length} samples of {len(manifest.channels)} "
            f"signals{every}. Answers {'; '.join(map(_answer, manifest.outputs))}."
        )

    def _signals(self) -> str:
        """The signals as a table in Markdown, in the order of the tensor's last axis."""
        lines = ["| signal | unit | usable | missing |", "| --- | --- | --- | --- |"]
        for one in self.manifest.channels[:MAX_SIGNALS]:
            effect = "refused" if one.missing == "require" else "imputed"
            lines.append(f"| {one.name} | {one.unit} | {_range(one)} | {effect} |")
        return "\n".join(lines)

    def _row(self) -> Schema:
        channels = self.manifest.channels
        if len(channels) > MAX_SIGNALS:
            kinds = ["number", "string", "boolean", "null"]
            return table({"type": kinds}, "A value by its signal's name.")
        signals = {channel.name: _value(channel) for channel in channels}
        # As `server.predict.rows` has it: a signal may itself be named time or asset.
        own = {"time": predictions.TIME, "asset": predictions.ASSET}
        own = {f"_{key}" if key in signals else key: schema for key, schema in own.items()}
        return record({}, {**own, **signals})

    def _readings(self, example: Example) -> list[Mapping[str, float | str | None]]:
        window = self.manifest.window
        # The sample at a point of a grid is taken when a reading from after the point arrives.
        return window_rows(self.manifest, example.window, window.length + window.is_on_grid)

    def _request(self, example: Example) -> Mapping[str, Any]:
        shape = [1, self.manifest.window.length, len(self.manifest.channels)]
        window = {
            "name": "window",
            "datatype": "FP32",
            "shape": shape,
            "data": [example.window.tolist()],
        }
        return {"inputs": [window]}

    def _response(self, example: Example) -> Mapping[str, Any]:
        tensors: list[Mapping[str, Any]] = []
        for output in self.manifest.outputs:
            values = np.ravel(example.outputs[output.name])
            shape = [1, len(values)] if output.name == "probabilities" else [1]
            datatype = DATATYPES[output.dtype]
            tensors.append(
                {"name": output.name, "datatype": datatype, "shape": shape, "data": values.tolist()}
            )
        tensors.append({"name": QUALITY, "datatype": "BYTES", "shape": [1], "data": ["GOOD"]})
        return {
            "model_name": self.name,
            "model_version": str(self.manifest.seq),
            "parameters": {"version": self.manifest.version},
            "outputs": tensors,
        }


def _value(channel: Channel) -> Schema:
    """The schema of a signal's value. It has no bounds: what is outside the range is no mistake."""
    missing = (
        "the model requires it: without it the answer is BAD"
        if channel.missing == "require"
        else "a missing value is imputed, and the answer UNCERTAIN"
    )
    if channel.codes:
        # A plant may write a state as text, as a number or as true and false.
        kinds = ["string", "number", "boolean", "null"]
        said = f"One of the states {', '.join(channel.codes)}; {missing}."
        return {"type": kinds, "description": said}
    unit = f"In {channel.unit}; usable" if channel.unit else "Usable"
    said = f"{unit}: {_range(channel)}; {missing}. True is 1, false is 0."
    return {"type": ["number", "boolean", "null"], "description": said}


def _range(channel: Channel) -> str:
    if channel.valid_range is None:
        return "all numbers"
    low, high = channel.valid_range
    return f"{low:g} to {high:g}"


def _answer(output: Output) -> str:
    """What an output means, as `value: hours left, in h`."""
    unit = f", in {output.unit}" if output.unit else ""
    classes = f" ({', '.join(output.classes)})" if output.classes else ""
    threshold = f", threshold {output.threshold:g}" if output.threshold is not None else ""
    return f"`{output.name}`: {output.meaning}{unit}{classes}{threshold}"
