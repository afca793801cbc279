"""Whatever file a run names, as series that can be trained on."""

from training.dataset import Dataset, read_dataset
from training.labels import labelled
from training.pieces import read_in_pieces
from training.settings import TrainSettings
from training.texts import read_labelled_texts, read_text


def read(settings: TrainSettings) -> Dataset:
    """A plain text (`.txt`), a CSV file of texts with labels, or series in the long layout.

    Raises:
        DataError: names the row, the column or the series, what was expected and what was found.
    """
    if settings.data.suffix == ".txt":
        dataset = read_text(settings)
    elif settings.text_column is not None:
        dataset = read_labelled_texts(settings)
    elif settings.cache_dir is not None:
        dataset = read_in_pieces(settings, settings.cache_dir)
    else:
        dataset = read_dataset(settings)
    return dataset if settings.task == "regression" else labelled(dataset, settings)
