"""Rows with what is known ahead, what holds for a whole series, and their times."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.artifact import unseal
from models.rows import RowLayout
from tests.unit.training.series_files import settings_for, wave
from training.backtesting.run import held_out_scores
from training.dataset import Dataset, SeriesData, read_dataset
from training.errors import DataError
from training.fit import build_for
from training.module import ForecasterModule
from training.rows import SeriesRows, layout_of
from training.segments import TrainingSegments, ValidationSegments
from training.settings import SettingsError
from training.train import train

NUM_ROWS = 60
FIRST = np.datetime64("2024-01-01T00", "us")
HOUR = np.timedelta64(1, "h")


def _write(path: Path, num_ahead: int = 0, **changed: str) -> Path:
    """Two shops, one row an hour: a promotion known ahead, weather seen, a city and an area that stay.

    Row t of the promotion is 1000 + t; `changed` puts a text in place of a cell: `row12_city="Bonn"`.
    """
    lines = ["unique_id,ds,y,promo,weather,city,area"]
    for shop, city in enumerate(("Ulm", "Kiel")):
        for step, value in enumerate(wave(NUM_ROWS + num_ahead, seed=shop)):
            seen = (f"{value:.3f}", f"{step % 7}") if step < NUM_ROWS else ("", "")
            cells = dict(zip(("y", "weather"), seen, strict=True))
            cells |= {"promo": str(1000 + step), "city": city, "area": str(10 * shop)}
            cells |= {
                name.split("_")[1]: text
                for name, text in changed.items()
                if shop == 0 and name.startswith(f"row{step}_")
            }
            row = [f"shop{shop}", str(FIRST + step * HOUR)[:19]]
            lines.append(
                ",".join([*row, *(cells[name] for name in ("y", "promo", "weather", "city", "area"))])
            )
    path.write_text("\n".join(lines) + "\n")
    return path


def _settings(data: Path, **options: Any) -> Any:
    fixed = {"future": ("promo",), "static": ("city", "area"), "categorical": ("city",), "calendar": True}
    return settings_for(data, **fixed | options)


def _series(num: int = 10) -> SeriesData:
    values = np.column_stack([np.arange(num), 100.0 + np.arange(num), np.full(num, 7.0)])
    return SeriesData("s", FIRST + np.arange(num) * HOUR, values, num - 2)


def test_a_row_holds_features_then_the_next_values_then_its_time() -> None:
    """Columns stand as `RowLayout` says; past the end nothing is known."""
    rows = SeriesRows(_series(), RowLayout(3, (1,), 3, True))
    hour_us = 3_600_000_000
    first_us = int(FIRST.astype(np.int64))
    np.testing.assert_array_equal(
        rows[0:2],
        [[0, 100, 7, 101, 102, 103, first_us], [1, 101, 7, 102, 103, 104, first_us + hour_us]],
    )
    np.testing.assert_array_equal(rows[8:9], [[8, 108, 7, 109, np.nan, np.nan, first_us + 8 * hour_us]])
    assert (len(rows), rows.width) == (10, 7)


def test_rows_of_features_alone_are_the_series_own() -> None:
    """Without other columns nothing is copied."""
    one = _series()
    assert np.shares_memory(SeriesRows(one, RowLayout(3))[2:5], one.values)


def test_a_step_without_any_observation_is_missing_throughout() -> None:
    """A gap is what the server makes of it: no time, nothing ahead; the rows around it know past it."""
    one = _series()
    one.values[4] = np.nan
    rows = SeriesRows(one, RowLayout(3, (1,), 2, True))[3:6]
    assert np.isnan(rows[1]).all()
    np.testing.assert_array_equal(rows[0, 3:5], [np.nan, 105])
    assert not np.isnan(rows[2]).any()


def test_steps_after_the_last_observation_only_tell_what_is_known_ahead(tmp_path: Path) -> None:
    """Rows at the end with nothing but future covariates are no rows of the series."""
    dataset = read_dataset(_settings(_write(tmp_path / "data.csv", num_ahead=2)))
    one = dataset.series[0]
    assert len(one.times) == len(one.values) == NUM_ROWS
    last = SeriesRows(one, layout_of(dataset, _settings(tmp_path / "data.csv")))[NUM_ROWS - 1 : NUM_ROWS]
    np.testing.assert_array_equal(last[0, 5:8], [1000 + NUM_ROWS, 1001 + NUM_ROWS, np.nan])


def test_without_future_covariates_rows_at_the_end_stay_rows(tmp_path: Path) -> None:
    """What nobody declared to be known ahead is an observation like any other."""
    path = _write(tmp_path / "data.csv", num_ahead=2)
    assert len(read_dataset(_settings(path, future=())).series[0].times) == NUM_ROWS + 2


def test_roles_stand_in_the_order_of_the_features(tmp_path: Path) -> None:
    """The file's order is kept; options only say what each column is."""
    dataset = read_dataset(_settings(_write(tmp_path / "data.csv")))
    assert dataset.features == ("y", "promo", "weather", "city", "area")
    assert dataset.roles == ("past", "future", "past", "static", "static")
    assert (dataset.future, dataset.static) == ((1,), (3, 4))


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"row12_city": "Bonn"}, ("row 14", "'shop0'", "column city", "'Ulm'", "'Bonn'", "static")),
        ({"row3_area": "4"}, ("row 5", "'shop0'", "column area", "0 in all rows", "found 4")),
    ],
)
def test_a_static_column_that_changes_is_refused(
    changed: dict[str, str], parts: tuple[str, ...], tmp_path: Path
) -> None:
    """The error names the series, the column and both values."""
    with pytest.raises(DataError) as raised:
        read_dataset(_settings(_write(tmp_path / "data.csv", **changed)))
    for part in parts:
        assert part in str(raised.value)


def test_a_static_value_said_once_holds_for_the_series(tmp_path: Path) -> None:
    """Empty cells of a static column are filled: a walk may begin at any row."""
    path = _write(tmp_path / "data.csv", **{f"row{step}_city": "" for step in range(1, NUM_ROWS)})
    one = read_dataset(_settings(path)).series[0]
    assert np.unique(one.values[:, 3]).tolist() == [1.0]


@pytest.mark.parametrize("option", ["future", "static"])
def test_a_column_that_is_not_there_is_named(option: str, tmp_path: Path) -> None:
    """Both options are held against the file."""
    with pytest.raises(DataError, match=f"a column 'wind', as it is {option}, found y, promo"):
        read_dataset(_settings(_write(tmp_path / "data.csv"), **{option: ("wind",)}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"future": ("y",)}, "future: expected covariates, not the target"),
        ({"static": ("y",)}, "static: expected covariates, not the target"),
        ({"static": ("promo",)}, "static: expected covariates that are not also known ahead"),
        ({"task": "binary", "horizon": 1}, "future: expected no columns, as row is predicted"),
        ({"data": Path("book.txt"), "future": (), "static": ()}, "calendar: expected no calendar"),
        (
            {"data": Path("book.txt"), "calendar": False, "static": ()},
            "future: expected no columns, as a text",
        ),
    ],
)
def test_roles_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    """Options that contradict each other are an error before any file is read."""
    with pytest.raises(SettingsError, match=message):
        _settings(**{"data": Path("data.csv")} | options)


def _layout(dataset: Dataset, data: Path) -> RowLayout:
    return layout_of(dataset, _settings(data))


def test_training_and_validation_walk_whole_rows_and_training_looks_at_no_held_out_covariate(
    tmp_path: Path,
) -> None:
    """Segments have every column; a training row knows nothing of the validation part."""
    path = _write(tmp_path / "data.csv", num_ahead=2)
    dataset = read_dataset(_settings(path))
    layout, start = _layout(dataset, path), dataset.series[0].validation_start
    trained = TrainingSegments(
        dataset.series, horizon=3, batch_size=4, segment_length=16, seed=0, epoch=0, layout=layout
    )
    known = torch.cat([segment.x.flatten(0, 1) for segment in trained])
    assert known.shape[1] == 5 + 3 + 1
    assert known[:, [1, 5, 6, 7]].nan_to_num().max() == 1000 + start - 1
    held_out = ValidationSegments(dataset.series, horizon=3, batch_size=4, layout=layout)
    walked = torch.cat([segment.x.flatten(0, 1) for segment in held_out])
    assert walked[:, 5:8].nan_to_num().max() == 1000 + NUM_ROWS + 1


def test_hiding_leaves_times_and_static_columns(tmp_path: Path) -> None:
    """Observations and what is known ahead go missing in training; a time and a city do not."""
    path = _write(tmp_path / "data.csv")
    settings = _settings(path, required=("weather",))
    dataset = read_dataset(settings)
    module = ForecasterModule(
        build_for(settings, dataset), learning_rate=1e-3, missing_rate=0.5, required=(2,), seed=0
    )
    shares = torch.isnan(module._hide(torch.ones(20, 50, 9, dtype=torch.float64))).double().mean((0, 1))
    hidden = [column for column, share in enumerate(shares.tolist()) if share > 0]
    assert hidden == [0, 1, 5, 6, 7]


@pytest.mark.parametrize("decoder", ["direct", "roll-out"])
def test_training_publishes_the_roles(decoder: str, tmp_path: Path) -> None:
    """The manifest says what each column is; the graph takes whole rows, and the backtest streams them."""
    path = _write(tmp_path / "data.csv", num_ahead=2)
    settings = _settings(path, decoder=decoder, max_epochs=1, sample_paths=4)
    published = train(settings)
    model, manifest = unseal(published.path.read_bytes())
    assert [feature.role for feature in manifest.features] == ["past", "future", "past", "static", "static"]
    assert manifest.reads_time
    width = next(tensor for tensor in model.graph.input if tensor.name == "x").type.tensor_type.shape.dim[2]
    assert width.dim_value == manifest.row_layout.width == 9
    assert held_out_scores(published.path.read_bytes(), read_dataset(settings).series)["mase"] > 0
