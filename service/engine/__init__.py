"""Runs models: state arena, graphs, ONNX Runtime. The only place that imports onnxruntime."""
