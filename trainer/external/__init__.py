"""External models: ONNX graphs that other tools have made, checked and packed."""
