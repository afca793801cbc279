"""Text as series of characters: one to go on writing, or many with a label each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.dataset import Dataset, SeriesData, fewest_steps, validation_start
from training.errors import DataError
from training.settings import TrainSettings
from training.table import read_csv, symbols

# Characters have no times: the first row of every text is given this one, and each further row a second more.
_FIRST_TIME = np.datetime64("1970-01-01T00:00:00", "us")
CHARACTER = "character"


def read_text(settings: TrainSettings) -> Dataset:
    """A plain text as one series; its only feature is the character, its categories those that occur.

    Raises:
        DataError: no text, or too little of it.
    """
    try:
        text = settings.data.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(settings.data, expected="a file", found="none of that name") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(settings.data, expected="UTF-8 text", found=str(error)) from error
    needed = fewest_steps(settings.horizon, settings.validation_fraction)
    if len(text) < needed:
        raise DataError(settings.data, expected=f"at least {needed} characters", found=str(len(text)))
    characters = tuple(sorted(set(text)))
    start = validation_start(len(text), settings.horizon, settings.validation_fraction)
    one = SeriesData("text", _times(len(text)), _indices(text, characters)[:, None], start)
    return Dataset((CHARACTER,), (one,), (characters,))


def read_labelled_texts(settings: TrainSettings) -> Dataset:
    """A CSV file with a text and its label in each row, as a series for each row: label, character.

    Raises:
        DataError: names the row and the column, what was expected and what was found.
    """
    assert settings.text_column is not None
    frame = read_csv(settings.data)
    for column in (settings.text_column, settings.target):
        if column not in frame.columns:
            found = f"columns {', '.join(frame.columns)}"
            raise DataError(settings.data, expected=f"a column {column!r}", found=found)
    labels, label_of = symbols(frame[settings.target])
    texts = frame[settings.text_column].astype(str).tolist()
    _check_rows(settings.data, frame, texts, label_of, settings)
    characters = tuple(sorted(set().union(*texts)))
    series = []
    for row, text, label in zip(frame.index, texts, label_of, strict=True):
        values = np.column_stack([np.full(len(text), label), _indices(text, characters)])
        series.append(SeriesData(f"row {row}", _times(len(text)), values, len(text)))
    return Dataset((settings.target, CHARACTER), tuple(series), (labels, characters))


def _check_rows(
    path: Path,
    frame: pd.DataFrame,
    texts: Sequence[str],
    label_of: npt.NDArray[np.float64],
    settings: TrainSettings,
) -> None:
    if frame.empty:
        raise DataError(path, expected="at least one row", found="none")
    for row, text, label in zip(frame.index, texts, label_of, strict=True):
        column = settings.target if text else settings.text_column
        if not text or np.isnan(label):
            expected = "a label" if text else "a text"
            raise DataError(path, row=int(row), column=column, expected=expected, found="nothing")


def _indices(text: str, characters: Sequence[str]) -> npt.NDArray[np.float64]:
    place = {character: float(index) for index, character in enumerate(characters)}
    return np.array([place[character] for character in text])


def _times(num: int) -> npt.NDArray[np.datetime64]:
    return _FIRST_TIME + np.arange(num).astype("timedelta64[s]")
