"""A file's columns as a model reads them, and the rows that are judged."""

from pathlib import Path

import numpy as np
import pytest

from models.manifest import FeatureSpec, Manifest
from tests.records import MANIFEST
from training.backtesting.data import series_for
from training.backtesting.judging import Judging, parse_start
from training.dataset import SeriesData
from training.errors import DataError
from training.settings import SettingsError

DAYS = ("low", "high", "middle")


def _manifest(**update: object) -> Manifest:
    """Hourly, four steps ahead; the categories in another order than the alphabet's."""
    features = (
        FeatureSpec(name="y"),
        FeatureSpec(name="tariff", categories=DAYS, role="future"),
        FeatureSpec(name="temperature"),
    )
    given = {"features": features, "frequency": "h", "horizon": 4, "quantile_levels": (0.1, 0.5, 0.9)}
    return MANIFEST.model_copy(update=given | update)


def _file(path: Path, header: str, line: str, num_rows: int = 6) -> Path:
    lines = [line.format(at=at, hour=f"2024-01-01T{at:02}") for at in range(num_rows)]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_columns_come_in_the_models_order(tmp_path: Path) -> None:
    """Another order, another target's name, a column more; words are the model's own numbers."""
    data = _file(tmp_path / "a.csv", "when,extra,temperature,load,tariff", "{hour},7,1{at},{at},middle")
    (one,) = series_for(_manifest(), data, target="load")
    np.testing.assert_array_equal(one.values[:, 0], np.arange(6))
    np.testing.assert_array_equal(one.values[:, 1], np.full(6, 2.0))
    np.testing.assert_array_equal(one.values[:, 2], np.arange(10, 16))


def test_what_is_known_ahead_is_in_the_models_order_too(tmp_path: Path) -> None:
    """Rows after the last observation say what the future holds."""
    data = _file(tmp_path / "a.csv", "ds,temperature,tariff,y", "{hour},1{at},high,{at}")
    data.write_text(data.read_text() + "2024-01-01T06,,low,\n")
    (one,) = series_for(_manifest(), data)
    assert len(one.times) == 6
    assert one.ahead is not None
    np.testing.assert_array_equal(one.ahead, [[np.nan, 0.0, np.nan]])


def test_what_the_model_does_not_know_is_named(tmp_path: Path) -> None:
    """A category it was not trained on, a column that it lacks, labels instead of quantities."""
    data = _file(tmp_path / "a.csv", "ds,temperature,tariff,y", "{hour},1,night,{at}")
    with pytest.raises(DataError, match=r"column tariff: expected one of the 3 .* found 'night'"):
        series_for(_manifest(), data)
    data = _file(tmp_path / "b.csv", "ds,tariff,y", "{hour},low,{at}")
    with pytest.raises(DataError, match="expected a column 'temperature', which the model reads"):
        series_for(_manifest(), data)
    labels = _manifest(task="binary", labels=("no", "yes"), quantile_levels=())
    with pytest.raises(SettingsError, match="expected a model of quantities"):
        series_for(labels, data)


def _series(num_rows: int) -> SeriesData:
    times = np.datetime64("2024-01-01T00", "us") + np.arange(num_rows) * np.timedelta64(1, "h")
    return SeriesData("a", times, np.zeros((num_rows, 1)), num_rows - 10)


@pytest.mark.parametrize(
    ("judging", "expected"),
    [
        (Judging(), [39, 40, 41, 42, 43, 44, 45]),
        (Judging(stride=3), [39, 42, 45]),
        (Judging(horizon=1, stride=8), [39, 47]),
        (Judging(start=0.9), [44, 45]),
        (Judging(start=np.datetime64("2024-01-02T20")), [43, 44, 45]),
        (Judging(start=np.datetime64("2024-01-02T19:30")), [43, 44, 45]),
        (Judging(start=np.datetime64("2024-01-05")), []),
        (Judging(start=np.datetime64("2023-01-05"), stride=40), [0, 40]),
    ],
)
def test_origins(judging: Judging, expected: list[int]) -> None:
    """From the row before the judged part on, up to the last whose every step has come."""
    assert judging.origins(_series(50), _manifest()).tolist() == expected


def test_a_start_is_a_share_or_a_time() -> None:
    """A time with an offset is taken to UTC."""
    assert parse_start("0.75") == 0.75
    assert parse_start("2024-01-31") == np.datetime64("2024-01-31")
    assert parse_start("2024-01-31T02:00+02:00") == np.datetime64("2024-01-31T00:00")
    with pytest.raises(SettingsError, match="found '2024-13-01'"):
        parse_start("2024-13-01")
