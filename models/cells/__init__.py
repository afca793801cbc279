"""The recurrent cells by name; a new one is registered here and nowhere else."""

from collections.abc import Callable

from models.cells.gru import GRU
from models.cells.lstm import LSTM
from models.cells.protocol import Cell

CELLS: dict[str, Callable[[int, int, int, float], Cell]] = {"lstm": LSTM, "gru": GRU}

__all__ = ["CELLS", "Cell"]
