"""A target that is one of several labels, instead of a quantity."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.dataset import Dataset, SeriesData
from training.errors import DataError
from training.settings import TrainSettings


def labelled(dataset: Dataset, settings: TrainSettings) -> Dataset:
    """The dataset of a classifier, its first column the labels' indices.

    Labels of rows to come are known for the rows that came, and stay a feature. Labels of the row itself, or
    of the series, are what a caller does not have: they are taken out of the features.

    Raises:
        DataError: too few or too many labels, no other column, or a series with more than one label.
    """
    path, labels = settings.data, dataset.categories[0]
    expected = "two different values" if settings.task == "binary" else "at least two different values"
    if len(labels) < 2 or (settings.task == "binary" and len(labels) > 2):
        some = ", ".join(map(repr, labels[:5])) + (", ..." if len(labels) > 5 else "")
        raise DataError(path, column=settings.target, expected=expected, found=f"{len(labels)}: {some}")
    if settings.predicts == "ahead":
        return replace(dataset, labels=labels)
    if len(dataset.features) == 1:
        expected = f"a column besides {settings.target}, to tell its labels by"
        raise DataError(path, expected=expected, found="none")
    series = dataset.series
    if settings.predicts == "series":
        series = _whole_series(path, labels, series, settings)
    return Dataset(
        dataset.features[1:],
        tuple(replace(one, values=one.values[:, 1:], labelled=one.target) for one in series),
        dataset.categories[1:],
        labels,
        dataset.roles[1:],
    )


def _whole_series(
    path: Path, labels: tuple[str, ...], series: tuple[SeriesData, ...], settings: TrainSettings
) -> tuple[SeriesData, ...]:
    """One label a series; whole series are held out for validation, drawn by the seed."""
    num_held_out = max(1, round(len(series) * settings.validation_fraction))
    if len(series) <= num_held_out:
        found = f"{len(series)}, {num_held_out} of them held out"
        raise DataError(path, expected="two series or more", found=found)
    held_out = np.random.default_rng(settings.seed).permutation(len(series))[:num_held_out]
    made = []
    for index, one in enumerate(series):
        label = _only_label(path, labels, one, settings.target)
        target = np.full(len(one.times), label if settings.loss_at == "every-row" else np.nan)
        target[-1] = label
        values = np.column_stack([target, one.values[:, 1:]])
        start = 0 if index in held_out else len(one.times)
        made.append(replace(one, values=values, validation_start=start))
    return tuple(made)


def _only_label(path: Path, labels: tuple[str, ...], one: SeriesData, target: str) -> float:
    found: npt.NDArray[np.float64] = np.unique(one.target[~np.isnan(one.target)])
    if len(found) != 1:
        several = ", ".join(repr(labels[int(index)]) for index in found) or "none"
        raise DataError(path, series=one.id, column=target, expected="one label", found=several)
    return float(found[0])
