"""Starting weights that the literature advises for recurrent networks."""

import torch
from torch import Tensor, nn


def orthogonal_recurrence(network: nn.RNNBase) -> None:
    """Orthogonal recurrent blocks (Saxe et al. 2014), Xavier input weights, zero biases, in place.

    An orthogonal map keeps the norm of what it carries, so gradients neither vanish nor explode at
    the first steps of training. Each gate's (H, H) block is made orthogonal on its own.
    """
    for name, parameter in network.named_parameters():
        if name.startswith("weight_hh"):
            orthogonal_blocks(parameter)
        elif name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter)
        else:
            nn.init.zeros_(parameter)


def orthogonal_blocks(weight: Tensor) -> None:
    """Make each gate's (H, H) block of a recurrent weight (G H, H) orthogonal, in place."""
    with torch.no_grad():
        for gate in torch.split(weight, weight.shape[1]):
            nn.init.orthogonal_(gate)


def open_forget_gate(bias: Tensor, hidden_size: int, gate: int = 1) -> None:
    """Forget-gate bias 1, so that memory lasts before it is learned (Jozefowicz et al. 2015, 2.2), in place.

    Args:
        bias: (G H,), gate after gate.
        gate: which of them is the forget gate.
    """
    with torch.no_grad():
        bias[gate * hidden_size : (gate + 1) * hidden_size] = 1.0
