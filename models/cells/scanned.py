"""Layers written as one step, for equations that no operator of ONNX has."""

import torch
from torch import Tensor, nn


class ScannedLayer(nn.Module):
    """One layer whose equations stand in `step`; exported as an ONNX `Scan` of that step.

    What rows alone decide belongs into `project`: there one product of matrices serves all of a chunk.
    """

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        """Rows (T, B, I) -> what `step` needs of them, (T, B, ...) each: as it stands, the rows."""
        return (x,)

    def step(self, rows: tuple[Tensor, ...], *states: Tensor) -> tuple[Tensor, ...]:
        """One row of each projection, (B, ...), and the states, (B, H) each -> the next states.

        The first of them is the layer's output. None may be a tensor that came in.
        """
        raise NotImplementedError

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Rows (T, B, I) -> outputs (T, B, H) and the states after the last row."""
        outputs = []
        for rows in zip(*self.project(x), strict=True):
            states = self.step(rows, *states)
            outputs.append(states[0])
        return torch.stack(outputs), states


def linear(input_size: int, output_size: int) -> nn.Linear:
    """A product with Xavier weights and a bias of zeros."""
    made = nn.Linear(input_size, output_size)
    nn.init.xavier_uniform_(made.weight)
    nn.init.zeros_(made.bias)
    return made


def log_sigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x)), finite for every finite x; exported as torch's own it would be a logarithm of zero."""
    return x.clamp(max=0.0) - torch.log(1.0 + torch.exp(-x.abs()))
