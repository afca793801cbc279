"""Fixtures that several kinds of tests share."""

import signal

import pytest
import torch

from models.manifest import Manifest
from tests import model_files

# Networks of eight units have no work for a second thread, which spins while it waits: on a busy machine at
# several times the CPU.
torch.set_num_threads(1)

# A shell lets its background jobs ignore Ctrl-C, and all that they start: commands that tests interrupt would
# never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def lstm_file() -> tuple[bytes, Manifest]:
    """A sealed LSTM model: 2 features, hidden 8, horizon 4, levels 0.1, 0.5, 0.9, hourly."""
    return model_files.sealed("small-lstm", "lstm")


@pytest.fixture(scope="session")
def gru_file() -> tuple[bytes, Manifest]:
    """The same with a GRU."""
    return model_files.sealed("small-gru", "gru")
