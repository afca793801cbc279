"""The recurrent cells by name; a new one is registered here and nowhere else."""

from collections.abc import Callable

from models.cells.elman import Elman, ElmanReLU
from models.cells.gru import GRU
from models.cells.jordan import Jordan
from models.cells.lstm import LSTM
from models.cells.lstm_reference import LSTMReference
from models.cells.min_gru import MinGRU
from models.cells.min_lstm import MinLSTM
from models.cells.peephole import Peephole
from models.cells.protocol import Cell
from models.cells.slstm import SLSTM

# Called with the input size, the hidden size, the number of layers, dropout and whether layers are residual.
CELLS: dict[str, Callable[[int, int, int, float, bool], Cell]] = {
    "lstm": LSTM,
    "gru": GRU,
    "elman": Elman,
    "elman-relu": ElmanReLU,
    "jordan": Jordan,
    "lstm-reference": LSTMReference,
    "peephole": Peephole,
    "min-lstm": MinLSTM,
    "min-gru": MinGRU,
    "slstm": SLSTM,
}

__all__ = ["CELLS", "Cell"]
