"""Generated from `proto/inference`: the Open Inference Protocol."""
