"""Gates that start as open as a memory of some length needs."""

import torch

from models.cells import Cell
from training.diagnosis.anatomy import layers_of
from training.settings import SettingsError


def keeps(cell: Cell) -> bool:
    """Whether it has a gate that keeps."""
    return any(anatomy.keep_biases for _, _, anatomy in layers_of(cell))


def remember_for(cell: Cell, steps: int) -> None:
    """Set the biases of the gates that keep, in place (Tallec & Ollivier 2018, "chrono initialisation").

        b_keep = log(U(1, steps - 1)),  b_add = -b_keep

    so that units keep for 2 to `steps` rows, each its own length. Draws from torch's random stream.

    Raises:
        SettingsError: the cell has no gate that keeps.
    """
    gated = [(layer, anatomy) for _, layer, anatomy in layers_of(cell) if anatomy.keep_biases]
    if not gated:
        raise SettingsError("memory_steps: expected a cell with a gate that keeps, such as lstm or gru")
    for layer, anatomy in gated:
        assert anatomy.keep_biases is not None
        keep, add = anatomy.keep_biases(layer)
        with torch.no_grad():
            start = torch.empty_like([*keep, *add][0]).uniform_(1.0, steps - 1.0).log()
            for bias in keep:
                bias.copy_(start)
            for bias in add:
                bias.copy_(-start)
