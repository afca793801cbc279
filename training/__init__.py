"""From a file of series to an exported forecaster."""

import os

# ONNX Runtime 1.29 and later report to their maker unless told not to before they are loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
