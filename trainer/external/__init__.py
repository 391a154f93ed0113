"""External models: ONNX graphs that other tools have written, checked and packed."""
