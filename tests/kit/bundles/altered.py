"""Bundles made of another one: the same model under another number, or with a signal misread."""

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, helper, numpy_helper

from models.bundle.golden import Golden, read_golden, write_golden
from models.bundle.package import Bundle, pack_bundle


def numbered(bundle: Bundle, seq: int) -> Bundle:
    """The same model with another number."""
    return _repacked(bundle, onnx.load_from_string(bundle.model), seq)


def scaled(bundle: Bundle, seq: int, signal: int, factor: float, summand: float) -> Bundle:
    """A model that takes a signal to be in another unit than its manifest says.

    Args:
        bundle: bundle of the right model.
        seq: number of the new bundle.
        signal: index of the signal.
        factor: the model computes `factor * value + summand` first.
        summand: see `factor`.
    """
    model = onnx.load_from_string(bundle.model)
    graph, width = model.graph, len(bundle.manifest.channels)
    factors, summands = np.ones(width, np.float32), np.zeros(width, np.float32)
    factors[signal], summands[signal] = factor, summand
    for node in graph.node:
        node.input[:] = ["misread" if name == "window" else name for name in node.input]
    graph.node.insert(0, helper.make_node("Add", ["product", "summands"], ["misread"]))
    graph.node.insert(0, helper.make_node("Mul", ["window", "factors"], ["product"]))
    graph.initializer.append(numpy_helper.from_array(factors, "factors"))
    graph.initializer.append(numpy_helper.from_array(summands, "summands"))
    return _repacked(bundle, model, seq)


def _repacked(bundle: Bundle, model: ModelProto, seq: int) -> Bundle:
    """The bundle with another graph and number; the golden outputs are those of that graph."""
    helper.set_model_props(model, {"stream": bundle.manifest.stream, "seq": str(seq)})
    content = model.SerializeToString()
    windows = read_golden(bundle.golden, bundle.manifest).windows
    names = [str(output.name) for output in bundle.manifest.outputs]
    answers = onnxruntime.InferenceSession(content).run(names, {"window": windows})
    golden = Golden(windows, dict(zip(names, answers, strict=True)))
    members = {
        "model.onnx": content,
        "golden.npz": write_golden(golden),
        "reference.json": bundle.reference,
        "report.html": bundle.report,
    }
    return pack_bundle(bundle.manifest.model_copy(update={"seq": seq}), members)
