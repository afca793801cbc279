"""The Open Inference Protocol over the same sessions: see docs/open-inference-protocol.md."""
