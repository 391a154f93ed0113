"""The exported ONNX graph of a model, and its parity with the scikit-learn pipeline."""
