"""Fixtures that several kinds of tests share."""

import pytest

from models.manifest import Manifest
from tests import model_files


@pytest.fixture(scope="session")
def lstm_file() -> tuple[bytes, Manifest]:
    """A sealed LSTM model: 2 features, hidden 8, horizon 4, levels 0.1, 0.5, 0.9, hourly."""
    return model_files.sealed("small-lstm", "lstm")


@pytest.fixture(scope="session")
def gru_file() -> tuple[bytes, Manifest]:
    """The same with a GRU."""
    return model_files.sealed("small-gru", "gru")
