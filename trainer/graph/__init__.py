"""The model as an ONNX graph, and how far it is the same model."""
