"""Rows of a file as they are sent are those that training made of the same file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cli.ahead import whole_rows
from cli.observations import read
from statecast import Feature, Model
from tests.unit.training.series_files import settings_for
from training.dataset import read_dataset
from training.rows import SeriesRows, layout_of

ROLES = {"price": "past", "promo": "future", "day": "future", "size": "static"}


@pytest.mark.parametrize("freq", ["h", "W-SUN", "ME"])
def test_rows_are_those_of_training(freq: str, tmp_path: Path) -> None:
    """With gaps, missing values, words and steps past the end, at steps of hours, weeks and months."""
    path = tmp_path / "data.csv"
    _frame(freq).to_csv(path, index=False)
    settings = settings_for(path, freq=freq, future=("promo", "day"), static=("size",), categorical=("day",))
    dataset = read_dataset(settings)
    model = _model(dataset.features, dict(zip(dataset.features, dataset.categories, strict=True)), freq)
    with path.open() as lines:
        indices = [feature.index for feature in model.features]
        sent = list(whole_rows(read(lines, dataset.features, "", indices), model))
    for one in dataset.series:
        rows = SeriesRows(one, layout_of(dataset, settings))[0 : len(one.times)]
        mine = [row for row in sent if row.session_id == one.id]
        at = np.searchsorted(one.times, np.array([row.time for row in mine], "datetime64[us]"))
        np.testing.assert_array_equal([row.values for row in mine], rows[at])
        assert len(mine) == len(one.times) - 2  # the gap


def _frame(freq: str) -> pd.DataFrame:
    parts = []
    for index in range(2):
        times = pd.date_range("2023-01-01", periods=60 + index, freq=freq)
        part = pd.DataFrame({"unique_id": f"s{index}", "ds": times, "y": np.arange(len(times)) + 0.5})
        part["price"], part["promo"] = np.arange(len(times)) % 5, np.arange(len(times)) % 7.0
        part["day"] = np.where(np.arange(len(times)) % 3, "work", "rest")
        part["size"] = np.where(np.arange(len(times)) == 4, 10.0 * index, np.nan)
        part.loc[[20, 31], "y"] = np.nan
        part.loc[[31, 33], "promo"] = np.nan
        part.loc[len(part) - 4 :, ["y", "price"]] = np.nan
        parts.append(part.drop(index=[25, 26]))
    return pd.concat(parts).sort_values("ds", kind="stable")


def _model(names: tuple[str, ...], words: dict[str, tuple[str, ...]], freq: str) -> Model:
    features = tuple(Feature(name, False, words[name], ROLES.get(name, "past")) for name in names)
    return Model("echo", 1, "", "lstm", features, freq, 1, 3, (0.5,), "{}")
