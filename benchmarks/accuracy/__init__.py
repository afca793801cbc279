"""Accuracy on public series, beside published figures and peers: `python -m benchmarks.accuracy`."""
