"""Starting weights that the literature advises for recurrent networks."""

import torch
from torch import nn


def orthogonal_recurrence(network: nn.RNNBase) -> None:
    """Orthogonal recurrent blocks (Saxe et al. 2014), Xavier input weights, zero biases, in place.

    An orthogonal map keeps the norm of what it carries, so gradients neither vanish nor explode at
    the first steps of training. Each gate's (H, H) block is made orthogonal on its own.
    """
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith("weight_hh"):
                for gate in torch.split(parameter, network.hidden_size):
                    nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)
