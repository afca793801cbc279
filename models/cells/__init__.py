"""The recurrent cells by name; a new one is registered here and nowhere else."""

from models.cells.bidirectional import Bidirectional, BidirectionalGRU
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
from models.cells.stack import Stack, check_look_ahead

CELLS: dict[str, type[Stack]] = {
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
    "bidirectional": Bidirectional,
    "bidirectional-gru": BidirectionalGRU,
}

__all__ = ["CELLS", "Cell", "check_look_ahead"]
