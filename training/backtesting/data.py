"""A file's series, as a model that is already made reads them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from models.manifest import FeatureSpec, Manifest
from training.dataset import Dataset, SeriesData, read_dataset
from training.errors import DataError
from training.layout import guess_layout
from training.scores import Floats
from training.settings import SettingsError, TrainSettings


def series_for(
    manifest: Manifest,
    path: Path,
    *,
    id_column: str | None = None,
    time_column: str | None = None,
    target: str | None = None,
) -> tuple[SeriesData, ...]:
    """Every series of the file on the model's grid, its columns those of the model and in their order.

    Args:
        time_column: without it `ds`, or the file's first column of dates.
        target: the column that stands for the model's target, where it has another name.

    Raises:
        DataError: names the row, the column or the series, what was expected and what was found.
        SettingsError: a classifier's manifest: it does not tell which column its labels are in.
    """
    if manifest.labels:
        raise SettingsError(f"{manifest.name} gives probabilities of labels: expected a model of quantities")
    target = target or manifest.features[0].name
    names = (target, *(feature.name for feature in manifest.features[1:]))
    features = dict(zip(names, manifest.features, strict=True))
    settings = TrainSettings.build(
        {
            "data": path,
            "output": Path("repository") / "model",
            "freq": manifest.frequency,
            "horizon": manifest.horizon,
            "id_column": id_column or "unique_id",
            "time_column": time_column or guess_layout(path).time_column,
            "target": target,
            "required": [name for name, feature in features.items() if feature.required],
            "categorical": [name for name, feature in features.items() if feature.categories],
            "future": [name for name, feature in features.items() if feature.role == "future"],
            "static": [name for name, feature in features.items() if feature.role == "static"],
        }
    )
    dataset = read_dataset(settings, check_lengths=False)
    for name in features:
        if name not in dataset.features:
            expected = f"a column {name!r}, which the model reads"
            raise DataError(path, expected=expected, found=f"columns {', '.join(dataset.features)}")
    columns = [dataset.features.index(name) for name in features]
    places = [_places(path, dataset, at, features[dataset.features[at]]) for at in columns]
    return tuple(_in_order(one, columns, places) for one in dataset.series)


def _places(path: Path, dataset: Dataset, column: int, feature: FeatureSpec) -> list[int]:
    """Of each category as the file has them, its index among the model's; empty for a number."""
    found = dataset.categories[column]
    for word in found:
        if word not in feature.categories:
            some = ", ".join(map(repr, feature.categories[:5]))
            expected = f"one of the {len(feature.categories)} categories that the model knows ({some}, ...)"
            raise DataError(path, column=feature.name, expected=expected, found=repr(word))
    return [feature.categories.index(word) for word in found]


def _in_order(one: SeriesData, columns: list[int], places: list[list[int]]) -> SeriesData:
    ahead = None if one.ahead is None else _reordered(one.ahead, columns, places)
    return replace(one, values=_reordered(one.values, columns, places), ahead=ahead)


def _reordered(values: Floats, columns: list[int], places: list[list[int]]) -> Floats:
    made = values[:, columns]
    for column, indices in enumerate(places):
        if indices:
            known = ~np.isnan(made[:, column])
            made[known, column] = np.array(indices)[made[known, column].astype(np.int64)]
    return made
