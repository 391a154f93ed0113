"""onnxruntime: how graphs are loaded and run, and the devices that they run on."""
