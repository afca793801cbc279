"""What recurrent weights alone do to what they carry, step after step."""

from dataclasses import dataclass

import torch

from models.forecaster import Forecaster
from training.diagnosis.anatomy import layers_of


@dataclass(frozen=True)
class Radius:
    """The largest |eigenvalue| of one (H, H) recurrent matrix.

    Where nothing else acts, a signal fades at its power below 1 and grows at it above 1 (Pascanu, Mikolov &
    Bengio 2013); squashing functions and gates make it less.
    """

    layer: str
    gate: str
    radius: float


def spectral_radii(forecaster: Forecaster) -> list[Radius]:
    """Of each recurrent matrix of each layer; none for a cell whose gates do not see the past."""
    with torch.no_grad():
        return [
            Radius(name, gate, float(torch.linalg.eigvals(weight).abs().max()))
            for name, layer, anatomy in layers_of(forecaster.cell)
            for gate, weight in anatomy.recurrent(layer).items()
        ]
