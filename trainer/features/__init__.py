"""The features of a window, as NumPy code that also writes its ONNX graph."""
