"""What a model sees in a window, as NumPy code that also writes its ONNX graph."""
