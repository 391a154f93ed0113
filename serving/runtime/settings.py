"""Settings of the device that models run on. Nothing of onnxruntime is loaded here."""

from typing import Annotated, Literal

from pydantic import Field

from models.settings import Section


class Inference(Section):
    """Where models run.

    Attributes:
        device: `cpu`, or an accelerator: `cuda`, `tensorrt` or `openvino`. Where a machine has
            several, a colon and which one follow: `cuda:1`, `openvino:GPU`, `openvino:NPU`.
        fallback: what happens where the device is missing, or a model does not answer its golden
            windows on it: with `refuse` the program does not start, or the bundle is refused; with
            `cpu` the processor takes its place, and log and metadata say so.
    """

    device: Annotated[
        str, Field(pattern=r"^(cpu|(cuda|tensorrt)(:[0-9]{1,2})?|openvino(:(CPU|GPU|NPU))?)$")
    ] = "cpu"
    fallback: Literal["refuse", "cpu"] = "refuse"
